"""A run as one ONNX graph: photo in, maps at the photo's own size out, every size decided inside.

The network is captured by torch.export on images whose sides are multiples of 32, where every layer's size is a plain
multiple of one symbol; convolutions then run on any other size too, and `export` compares before it writes. What
depends on the size of the photo (`data.augment.fit_size`) stands in front of it as ONNX text.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from timm.layers import Conv2dSame
from torch import nn

from umadapt.data.atomic import whole_file
from umadapt.errors import UserError
from umadapt.inference.export_shapes import TRANSLATIONS, put_operators
from umadapt.inference.exported import GRID, KEY
from umadapt.inference.portable import Portable, slim
from umadapt.nets.model import UMAdapt

OPSET = 18  # the first whose Resize antialiases

# `fit_size` in the arithmetic that it uses itself, float64 with halves to even. rows and columns count strides of 32.
FIT = """
fit (uint8[batch, H, W, 3] photo) => (int64 height, int64 width, int64 rows, int64 columns) {{
  photo_h = Shape <start = 1, end = 2> (photo)
  photo_w = Shape <start = 2, end = 3> (photo)
  net_h = Constant <value_int = {height}> ()
  net_w = Constant <value_int = {width}> ()
  real_h = Constant <value = double {{{height}.0}}> ()
  real_w = Constant <value = double {{{width}.0}}> ()
  close = Constant <value = double {{{close!r}}}> ()
  stride = Constant <value = double {{32.0}}> ()
  least = Constant <value = double {{1.0}}> ()
  step = Constant <value_int = 32> ()
  almost = Constant <value_int = 31> ()
  h = Cast <to = 11> (photo_h)
  w = Cast <to = 11> (photo_w)
  wide = Mul (w, real_h)
  high = Mul (h, real_w)
  ratio = Div (wide, high)
  distance = Log (ratio)
  apart = Abs (distance)
  near = LessOrEqual (apart, close)
  aspect = Div (w, h)
  pixels = Mul (real_h, real_w)
  area_h = Div (pixels, aspect)
  area_w = Mul (pixels, aspect)
  side_h = Sqrt (area_h)
  side_w = Sqrt (area_w)
  strides_h = Div (side_h, stride)
  strides_w = Div (side_w, stride)
  round_h = Round (strides_h)
  round_w = Round (strides_w)
  some_h = Max (round_h, least)
  some_w = Max (round_w, least)
  count_h = Cast <to = 7> (some_h)
  count_w = Cast <to = 7> (some_w)
  own_h = Mul (count_h, step)
  own_w = Mul (count_w, step)
  chosen_h = Where (near, net_h, own_h)
  chosen_w = Where (near, net_w, own_w)
  height = Squeeze (chosen_h)
  width = Squeeze (chosen_w)
  more_h = Add (height, almost)
  more_w = Add (width, almost)
  rows = Div (more_h, step)
  columns = Div (more_w, step)
}}
"""

# The network's own input may be given too: then the network sees that, and of the photo nothing is read.
GIVEN = """
given (int64 chosen_h, int64 chosen_w, float[images, 3, h, w] image) => (int64 picked_h, int64 picked_w, bool given) {
  count = Size (image)
  nothing = Constant <value_int = 0> ()
  given = Greater (count, nothing)
  given_h = Shape <start = 2, end = 3> (image)
  given_w = Shape <start = 3, end = 4> (image)
  picked_h = Where (given, given_h, chosen_h)
  picked_w = Where (given, given_w, chosen_w)
}
"""


def to_onnx(model: UMAdapt, domain: str) -> onnx.ModelProto:
    """The ONNX graph of a model: "photo" (batch, H, W, 3) uint8 to the outputs of `Portable`, all sizes dynamic.

    "focal", float32, may be given too: the focal length in pixels of the photos; 0 = unknown. And so may "image",
    (batch, 3, h, w) float32 in [0, 1]: what the network is to see in place of the photos, of which then only the size
    counts, for the outputs that are no grids, and the width, which is that of `focal`.

    Raises:
        UserError: the network cannot be captured.
    """
    portable = slim(model, domain)
    same = pad_evenly(portable)
    put_operators(portable)
    example = (torch.zeros(2, 480, 640, 3, dtype=torch.uint8), torch.tensor(500.0), 7, 10)
    free = torch.export.Dim.DYNAMIC
    sizes = {"photo": {0: free, 1: free, 2: free}, "focal": {}, "rows": free, "columns": free}
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # deprecations inside torch and onnxscript are no concern of a user
            names = list(portable(example[0][:1, :64, :64], example[1], 2, 2))
            program = torch.export.export(portable, example, dynamic_shapes=sizes)
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                output_names=names,
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
    except Exception as error:  # the exporters raise many kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"backbone {model.spec.backbone} cannot be exported for photos of any size: {reason}"
        ) from error
    assert converted is not None
    proto = converted.model_proto
    pad_same(proto.graph, same)
    put_fit_in_front(proto.graph, model.spec.size)
    take_image(proto.graph)
    name_sizes(proto.graph)
    strip_notes(proto)
    onnx.checker.check_model(proto, full_check=False)
    return proto


def pad_evenly(portable: Portable) -> set[str]:
    """Make the convolutions with "same" padding pad evenly; returns the names of their weights.

    Theirs depends on the size of their input, which ONNX has as an attribute: even padding gives the same size where
    sides are even, and `pad_same` sets the attribute.
    """
    convolutions = [(name, layer) for name, layer in portable.named_modules() if isinstance(layer, nn.Conv2d)]
    same = [
        (name, layer) for name, layer in convolutions if isinstance(layer, Conv2dSame) and set(layer.dilation) == {1}
    ]
    for name, layer in same:
        (height, width), (down, across) = layer.kernel_size, layer.stride
        shape, pads = (height, width), (height // 2, width // 2)
        options = {"groups": layer.groups, "bias": layer.bias is not None}
        even = nn.Conv2d(layer.in_channels, layer.out_channels, shape, (down, across), pads, **options)
        even.weight, even.bias = layer.weight, layer.bias
        parent, _, child = name.rpartition(".")
        setattr(portable.get_submodule(parent), child, even)
    return {f"{name}.weight" for name, _ in same}


def pad_same(graph: onnx.GraphProto, weights: set[str]) -> None:
    """Let the convolutions with these weights pad as TensorFlow's "same" does, at any size of their input."""
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("auto_pad", "SAME_UPPER")])
            weights = weights - {node.input[1]}
    if weights:
        raise UserError(f"the exporter renamed the weights of {len(weights)} layers, such as {min(weights)}")


def put_fit_in_front(graph: onnx.GraphProto, net_size: tuple[int, int]) -> None:
    """Replace the inputs "rows" and "columns", and the size of 32 times them, by what FIT makes of the photo."""
    text = FIT.format(height=net_size[0], width=net_size[1], close=math.log(1.05))
    front = onnx.parser.parse_graph(text)
    given = onnx.parser.parse_graph(GIVEN)
    for node in front.node:
        if node.op_type == "Squeeze":
            node.input[0] = node.input[0].replace("chosen", "picked")
    at = next(i for i, node in enumerate(front.node) if node.op_type == "Squeeze")
    before, after = list(front.node)[:at], list(front.node)[at:]
    del front.node[:]
    front.node.extend([*before, *given.node, *after])
    shared = {"photo", "image", "rows", "columns"}
    for node in front.node:
        for names in (node.input, node.output):
            names[:] = [name if name in shared else f"fit_{name}" for name in names]
    constant = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == 7 and not t.dims}
    sizes = {"rows": "fit_height", "columns": "fit_width"}
    chosen: dict[str, str] = {}
    for node in graph.node:
        count = next((name for name in node.input if name in sizes), None)
        if node.op_type == "Mul" and count and any(constant.get(name) == 32 for name in node.input):
            chosen[node.output[0]] = sizes[count]
    if set(chosen.values()) != set(sizes.values()):
        raise UserError("the exporter has changed how it writes sizes; use the versions of constraints.txt")
    nodes = [node for node in graph.node if node.output[0] not in chosen]
    for node in nodes:
        node.input[:] = [chosen.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend([*front.node, *nodes])
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    inputs = [given for given in graph.input if given.name in ("photo", "focal")]
    del graph.input[:]
    graph.input.extend(inputs)
    if len(inputs) > 1:
        graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((), np.float32), "focal"))  # where none is given
    del graph.value_info[:]  # sizes of the network's layers in multiples of 32, which is now one case of several


def take_image(graph: onnx.GraphProto) -> None:
    """Let the network see the input "image" where one is given, else what the graph makes of the photo.

    That stands in a branch of its own, which is not run then: floats of a photo of 50 megapixels are gigabytes.
    """
    nodes = list(graph.node)
    end = next(i for i, node in enumerate(nodes) if node.op_type == "Resize")
    made = {"photo"}  # what hangs on the photo's numbers
    inside = []
    for i, node in enumerate(nodes[: end + 1]):
        of_size = node.op_type == "Shape" and node.input[0] == "photo"
        if made & set(node.input) and not of_size:
            made |= set(node.output)
            inside.append(i)
    resized = nodes[end].output[0]
    left = {name for i, node in enumerate(nodes) if i not in inside for name in node.input}
    if end not in inside or (made - {"photo", resized}) & left:
        raise UserError("the exporter has changed how it resizes; use the versions of constraints.txt")
    nodes[end].output[0] = "photo_resized"
    value = onnx.helper.make_tensor_value_info
    otherwise = onnx.helper.make_graph(
        [nodes[i] for i in inside], "of_photo", [], [value("photo_resized", onnx.TensorProto.FLOAT, None)]
    )
    same = onnx.helper.make_node("Identity", ["image"], ["image_given"])
    then = onnx.helper.make_graph([same], "of_image", [], [value("image_given", onnx.TensorProto.FLOAT, None)])
    choice = onnx.helper.make_node("If", ["fit_given"], [resized], then_branch=then, else_branch=otherwise)
    kept = [choice if i == end else node for i, node in enumerate(nodes) if i not in inside or i == end]
    del graph.node[:]
    graph.node.extend(kept)
    graph.input.append(value("image", onnx.TensorProto.FLOAT, ["images", 3, "image_height", "image_width"]))
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((0, 3, 1, 1), np.float32), "image"))


def name_sizes(graph: onnx.GraphProto) -> None:
    """Call the free sizes of inputs and outputs batch, height and width; those of grids grid_height and grid_width."""
    dims = graph.input[0].type.tensor_type.shape.dim
    names = {dim.dim_param: name for dim, name in zip(dims, ("batch", "height", "width"), strict=False)}
    for value in graph.output:
        grid = value.name.startswith(GRID)
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if grid and axis > 1:
                dim.dim_param = ("grid_height", "grid_width")[axis - 2]
            elif dim.dim_param:
                dim.dim_param = names[dim.dim_param]
    for dim in dims:
        if dim.dim_param:
            dim.dim_param = names[dim.dim_param]


def strip_notes(proto: onnx.ModelProto) -> None:
    """Remove what the exporter noted on every node: source lines and paths of this machine."""
    graph = proto.graph
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    for part in (proto, graph, *graph.initializer, *graph.input, *graph.output, *inner):
        part.doc_string = ""
        del part.metadata_props[:]
    for node in (*graph.node, *(node for branch in inner for node in branch.node)):
        node.doc_string = ""
        del node.metadata_props[:]


def write_onnx(path: Path, graph: onnx.ModelProto, about: Mapping[str, Any]) -> Path:
    """Write the file whole or not at all."""
    graph.producer_name, graph.producer_version = "umadapt", about["packages"]["exported"]["umadapt"]
    onnx.helper.set_model_props(graph, {KEY: json.dumps(about)})
    data = graph.SerializeToString()
    with whole_file(path) as temporary:
        temporary.write_bytes(data)
    return path
