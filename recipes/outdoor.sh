#!/usr/bin/env bash
# The paper's outdoor setting on the real sets: streets rendered or from a game, KITTI and Cityscapes as photos.
#
#   recipes/outdoor.sh DOWNLOADS OUT
#
# DOWNLOADS holds what the owners distribute, as it was downloaded: vkitti2/ (rgb, depth, classSegmentation), kitti/ (raw
# drives of the Eigen split with calibration, data_depth_annotated), cityscapes/ (leftImg8bit, gtFine). `umadapt convert`
# says what is missing and where its owner offers it.
# The paper's source is GTA5, whose owners give no depth; with depth of your own: convert gta5 ... --depth FOLDER.
# Cost: never run here on the whole sets. The same steps pass on small files of these formats: tests/test_outdoor.py.
# For the paper's size (ResNet-50, 256x512, 40,000 steps) take a GPU; BUDGET=short is a tenth.
set -euo pipefail
cd "$(dirname "$0")/.."
DOWNLOADS=$1 OUT=$2 BUDGET=${BUDGET:-full}
make --silent setup
UMADAPT=.venv/bin/umadapt

$UMADAPT convert vkitti2 "$DOWNLOADS/vkitti2" "$OUT/vkitti2"
$UMADAPT convert kitti "$DOWNLOADS/kitti" "$OUT/kitti"
# the ground truth of the Eigen split: the laser alone, its depth as the field's evaluation takes it
$UMADAPT convert kitti "$DOWNLOADS/kitti" "$OUT/kitti-laser" --no-annotated --velodyne-depth
$UMADAPT convert cityscapes "$DOWNLOADS/cityscapes" "$OUT/cityscapes"
for data in vkitti2 kitti kitti-laser cityscapes; do $UMADAPT check "$OUT/$data"; done

$UMADAPT reproduce outdoor --out "$OUT/ladder" --budget "$BUDGET" --seeds "${SEEDS:-3}" --source "$OUT/vkitti2" \
    --target "$OUT/kitti:eigen_train" --target "$OUT/cityscapes:train" --mix "${MIX:-union}" \
    --eval "$OUT/kitti-laser:eigen_test" --eval "$OUT/cityscapes:val" \
    --labelled "$OUT/kitti:eigen_train" --labelled "$OUT/cityscapes:labelled" --depth-labels "${DEPTH_LABELS:-500}"
