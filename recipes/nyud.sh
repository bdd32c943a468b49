#!/usr/bin/env bash
# NYUDv2 ladder: 3,000 own renders, MobileNetV2, AdaBN and Algorithm 2 as printed, chosen on val-a, reported on val-b.
#
#   recipes/nyud.sh [OUT]
#
# Cost: about an hour and a quarter on two CPU cores, 3 GB of memory, 600 MB of disk. Sets itself up by `make setup`.
# Needs NYUDv2 in the folder format (NYUD), ImageNet weights of mobilenetv2_100 (WEIGHTS) and, for the committed
# figures, Debian's sweethome3d-furniture (FURNITURE=none does without). Expected: docs/results.md, "NYUDv2 from rendered
# rooms", measured when PRINTED was what `adapt` did by default.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-runs/nyud}
NYUD=${NYUD:-../shared/data/nyudv2}
WEIGHTS=${WEIGHTS:-../shared/weights/mobilenetv2_100_imagenet.safetensors}
FURNITURE=${FURNITURE:-auto}
make --silent setup
UMADAPT=.venv/bin/umadapt
PRINTED=(--candidates 0 --steps 50 --lr 1e-5 --consensus 0 --statistics-share 1 --forward fresh --decay 0 --kept-views 0)

$UMADAPT render "$OUT/rooms" --rooms 750 --views 4 --size 120x160 --style photo --seed 11 --furniture "$FURNITURE"
$UMADAPT train --source "$OUT/rooms" --out "$OUT/base" --backbone mobilenetv2_100 --weights "$WEIGHTS" \
    --size 120x160 --width 0.25 --transfer-width 0.25 --transfer-steps 1200 --base-steps 1000 --contour-steps 150 \
    --lr 5e-4 --holdout 0.03
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/adabn-res5" --method adabn --statistics res5
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/adabn" --method adabn
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/noadv-1" --method noadv-1 "${PRINTED[@]}"
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/noadv" --method noadv "${PRINTED[@]}"
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/adv" --method adv "${PRINTED[@]}"
RUNS=("$OUT/base" "$OUT/adabn-res5" "$OUT/adabn" "$OUT/noadv-1" "$OUT/noadv" "$OUT/adv")
for split in val-a val-b; do
    $UMADAPT evaluate --prior "$NYUD:target" --data "$NYUD:$split" --protocol nyud --normals-from-depth \
        --json "$OUT/prior-$split.json"
    for run in "${RUNS[@]}"; do
        $UMADAPT evaluate "$run" --data "$NYUD:$split" --protocol nyud --normals-from-depth --json "$run/$split.json"
    done
done
$UMADAPT score "${RUNS[@]}" --photos "$NYUD:target"
