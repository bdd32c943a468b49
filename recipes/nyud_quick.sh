#!/usr/bin/env bash
# NYUDv2 from nothing but own renders, small: rooms, MobileNetV2, two adaptations, measured on 105 photos of val-a.
#
#   recipes/nyud_quick.sh [OUT]
#
# Cost: five minutes on two CPU cores, 2 GB of memory, 200 MB of disk. Sets itself up by `make setup`.
# Needs NYUDv2 in the folder format (NYUD) and ImageNet weights of mobilenetv2_100 (WEIGHTS); see README, "Data".
# Expected: recipes/nyud_quick.json, of the rooms as commit 2954742 rendered them (not measured again since); mean and
# spread over four runs (three seeds, one or two threads: training this short moves by as much with the number of threads
# as with the seed), printed beside what you get; the last line says whether yours lie within. With FURNITURE=auto the
# catalogue is used where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-runs/nyud-quick}
NYUD=${NYUD:-../shared/data/nyudv2}
WEIGHTS=${WEIGHTS:-../shared/weights/mobilenetv2_100_imagenet.safetensors}
FURNITURE=${FURNITURE:-none}
SEED=${SEED:-0}
make --silent setup
UMADAPT=.venv/bin/umadapt

$UMADAPT render "$OUT/rooms" --views 200 --size 96x128 --style photo --seed 1 --furniture "$FURNITURE"
$UMADAPT train --source "$OUT/rooms" --out "$OUT/base" --backbone mobilenetv2_100 --weights "$WEIGHTS" \
    --size 96x128 --width 0.25 --transfer-width 0.25 --transfer-steps 400 --base-steps 160 --contour-steps 40 \
    --batch 12 --lr 5e-4 --seed "$SEED"
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/adabn" --method adabn
$UMADAPT adapt "$OUT/base" --target "$NYUD:target" --out "$OUT/noadv" --method noadv --seed "$SEED" --candidates 0 \
    --steps 50 --consensus 0 --statistics-share 1 --forward fresh --decay 0 --kept-views 0  # Algorithm 2 as printed
for run in base adabn noadv; do
    $UMADAPT evaluate "$OUT/$run" --data "$NYUD:val-a" --protocol nyud --normals-from-depth
done
$UMADAPT report "$OUT/base" "$OUT/adabn" "$OUT/noadv" --out "$OUT/report.html" --json "$OUT/metrics.json"
.venv/bin/python recipes/compare.py "$OUT/metrics.json" recipes/nyud_quick.json
