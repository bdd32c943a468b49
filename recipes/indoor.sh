#!/usr/bin/env bash
# The models that ship: 8,000 rendered views, a base trained on them small then larger, adapted to NYUDv2's photos.
#
#   recipes/indoor.sh [OUT]
#
# Cost: four hours on two AVX-512 cores with other work beside it (CPU minutes: rendering 70, training 165, adapting 18),
# 9 GB of memory, 2 GB of disk. Every line goes on where it was stopped. Sets itself up by `make setup`. Needs NYUDv2 in
# the folder format with splits target, val-a and val-b (NYUD; docs/data.md), its photos without their border ("window"
# in dataset.json), and for the committed figures Debian's sweethome3d-furniture (FURNITURE=none does without).
# Expected: docs/results.md, "The models that ship".
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-runs/indoor}
NYUD=${NYUD:-data/nyudv2}
FURNITURE=${FURNITURE:-auto}
SEED=${SEED:-0}
make --silent setup
UMADAPT=.venv/bin/umadapt
# a sixth less time a step: memory is kept by the process, in huge pages (docs/speed.md)
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296

$UMADAPT render "$OUT/rooms" --rooms 2000 --views 4 --size 240x320 --style photo --seed 100 --furniture "$FURNITURE"

NET="--source $OUT/rooms --preset small --alpha 0 --holdout 0.03 --precision bf16 --depth-loss log --normals plane-fit
     --rare 0.5 --zoom 0.8-1.4 --contour-steps 20 --seed $SEED"
# shellcheck disable=SC2086
$UMADAPT train $NET --out "$OUT/base-120" --transfer-steps 200
# shellcheck disable=SC2086
$UMADAPT train $NET --out "$OUT/base-192" --init "$OUT/base-120" --size 192x256 --transfer-steps 150 --base-steps 1500 --lr 6e-4
# shellcheck disable=SC2086
$UMADAPT train $NET --out "$OUT/base" --init "$OUT/base-192" --size 240x320 --transfer-steps 150 --base-steps 2000 --lr 6e-4

measure() { # RUN SPLIT [ARGUMENTS]
    $UMADAPT evaluate "$1" --data "$NYUD:$2" --protocol nyud --normals-from-depth "${@:3}"
}
$UMADAPT evaluate --prior "$NYUD:target" --data "$NYUD:val-a" --protocol nyud --normals-from-depth
measure "$OUT/base" val-a
measure "$OUT/base" val-b

$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/adapted" --method self-training --steps 300 --batch 8 \
    --precision bf16 --seed "$SEED"
measure "$OUT/adapted" val-a --witnesses mirror
measure "$OUT/adapted" val-b --witnesses mirror

# what ships: half precision, without the contour decoder and the transfer net to depth (studies/ship.py)
$UMADAPT export "$OUT/base" --format safetensors
$UMADAPT export "$OUT/adapted" --format safetensors
