"""Arguments of the commands that take steps: train, adapt, semi."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional, UseAppendAction

from umadapt.config.options import ClassMap, JsonFile, Names, Size, Span

NormalsKind = Literal["exact", "plane-fit"]


@dataclass(frozen=True)
class Train:
    """Train on labelled source data: transfer nets, the base model (Algorithm 1), the contour decoder."""

    source: str  # labelled data, DATA or DATA:SPLIT
    out: Path  # run folder (an unfinished run is continued)
    stage: Literal["all", "transfer", "base", "contour"] = "all"  # run one stage alone, or all in order
    preset: Literal["indoor", "outdoor", "small"] | None = None  # the paper's settings, or one for a CPU, as defaults
    tasks: Names = ("depth", "normals", "seg")  # tasks to learn: depth, normals, seg, edges (made from depth)
    class_map: ClassMap = None  # merge classes of the source: {old: new, or "ignore"}, or nyu13; kept for what follows
    normals: NormalsKind = "exact"  # as the source has them; or planes fitted to its depth, as NYUDv2 is judged by
    transfer: UseAppendAction[tuple[str, ...]] = ()  # "seg<-depth", "normals<-depth:geometry", …; default: the paper's
    backbone: str = "resnet50"  # any timm backbone with stride-16 and stride-32 features
    weights: str = "imagenet"  # imagenet (downloaded), none (random), or a .safetensors file
    size: Size = (228, 304)  # network input in pixels, height x width
    init: Path | None = None  # a run of the same network, whose weights to start from; --size and --transfer may differ
    decoder: Literal["fcrn", "skip"] = "fcrn"  # the paper's; or one that joins features of strides 4 to 32
    width: float = 1.0  # width factor of the decoders; 1 = the paper's, or skip's own
    dropout: float = 0.0  # share of the features before a decoder's last convolution; FCRN has 0.5
    transfer_width: float = 1.0  # width factor of the transfer nets; 1 = the paper's
    depth_scale_m: float = 10.0  # metres of one network unit of depth (10 indoors, 80 outdoors)
    depth_head: Literal["softplus", "relu"] = "softplus"  # last non-linearity of depth
    depth_loss: Literal["berhu", "log"] = "berhu"  # L_t of depth: the paper's, or the absolute error of its logarithm
    contours: Literal["gradient", "hed"] = "gradient"  # contours to learn: of the image, or by HED (docs/method.md)
    class_weights: Literal["none", "sqrt", "median"] = "sqrt"  # weights of classes in the seg loss, from source labels
    pseudo_softmax: float = 0.5  # share of label maps that transfer nets read as if they were softmax outputs
    alpha: float = 10.0  # weight of the distillation term in Algorithm 1
    optimiser: Literal["per-task", "joint"] = "per-task"  # one Adam a task, each with a fresh forward; or one for all
    transfer_steps: int = 20_000  # steps of stage transfer
    base_steps: int = 40_000  # steps of stage base (each takes one turn a task)
    contour_steps: int = 5_000  # steps of stage contour
    batch: int = 16  # images a step
    micro_batch: int = 0  # images that go through a network at once, for less memory; 0 = the whole batch
    checkpoint_activations: bool = False  # keep fewer activations and compute them again: less memory, same result
    precision: Literal["fp32", "bf16", "auto"] = "fp32"  # of forward passes; auto = bf16 where the machine has it
    compile: bool = False  # torch.compile the networks; needs a C++ compiler (see docs/speed.md)
    lr: float = 1e-4  # learning rate of stages transfer and base
    contour_lr: float = 1e-3  # learning rate of stage contour
    encoder_rate: float = 1.0  # learning rate of the encoder as a share of --lr, for one that is pretrained
    warm_up: int = 0  # steps at the start of a stage over which the learning rate rises
    schedule: Literal["linear", "cosine"] = "linear"  # how the learning rate falls: over the last --decay, or all along
    decay: float = 0.3  # share of a stage's steps, at its end, over which a linear learning rate falls to zero
    weight_decay: float = 0.0  # of AdamW
    ema: float = 0.0  # stage base: decay of an exponential moving average of the weights, which is kept; 0 = the last
    clip: float = 10.0  # largest gradient norm of a turn
    augment: float = 1.0  # strength of the random colours, blur and noise of source images; 0 = images as they are
    zoom: Span = (1.0, 1.4)  # random zoom of source images; below 1 they are made smaller, with their edges around them
    rare: float = 0.0  # share of source images that are drawn for a class that they show, rare ones more often
    holdout: float = 0.1  # share of the source kept for measuring, from the end of the list of ids
    save_every: int = 500  # steps between checkpoints
    seed: int = 0  # of weights, order and augmentation
    device: str = "auto"  # auto, cpu, cuda


MethodName = Literal[
    "self-training",
    "noadv",
    "noadv-1",
    "adv",
    "b-ccr",
    "b-fcf",
    "adabn",
    "minent",
    "output-adv",
    "mean-teacher",
]


@dataclass(frozen=True)
class Adapt:
    """Adapt a trained run to unlabelled photos (Algorithm 2)."""

    run: Positional[Path]  # a run folder made by train
    target: UseAppendAction[tuple[str, ...]]  # a folder of photos, or DATA:SPLIT; may be given several times
    out: Path  # run folder to write (an unfinished one is continued)
    mix: Literal["union", "alternate"] = "union"  # several folders: shuffled together, or a batch of each in turn
    method: MethodName = "self-training"  # self-training by a teacher; the paper's terms; or a peer
    source: str | None = None  # labelled data for self-training, adv, b-*, output-adv, --rehearse; default: that of RUN
    labelled: UseAppendAction[tuple[str, ...]] = ()  # self-training: labelled photos, of which every step has some
    labelled_share: float = 1.0  # of those of each folder only this share, evenly spaced: what would a tenth do?
    adapt: Literal["res5", "encoder", "all"] | None = None  # weights to train; default: res5, of self-training all
    statistics: Literal["source", "res5", "encoder"] = "encoder"  # BatchNorm statistics taken from the photos first
    statistics_share: float | None = None  # of the photos in them; default: .5, adabn and self-training: 1
    rehearse: bool = False  # labelled source images in every step of any method; self-training always does
    bn: Literal["frozen", "train"] = "frozen"  # whether BatchNorm statistics of --adapt's weights move while adapting
    steps: int = 150  # updates of the weights
    batch: int = 8  # images a step
    kept_views: int = 4  # views of each photo; what frozen networks make of them is computed once and kept; 0 = all new
    shared_views: Path | None = None  # a folder to keep that in for other runs too; default: in OUT, until the end
    micro_batch: int = 0  # images that go through a network at once, for less memory; 0 = the whole batch
    checkpoint_activations: bool = False  # keep fewer activations and compute them again: less memory, same result
    precision: Literal["fp32", "bf16", "auto"] = "fp32"  # of forward passes; auto = bf16 where the machine has it
    compile: bool = False  # torch.compile the networks; needs a C++ compiler (see docs/speed.md)
    lr: float = 0.0  # learning rate; 0 = the method's own
    encoder_rate: float = 0.6  # self-training: learning rate of the encoder as a share of --lr
    decay: float = 0.5  # share of the steps, at the end, over which learning rates fall to zero
    energy_weight: float = 1.0  # weight of the cross-task energy
    ccr: float = 10.0  # lambda, weight of the contour loss
    gradient_mask: Literal["class", "uniform", "off"] = "class"  # random mask between seg prediction and transfer net
    forward: Literal["fresh", "shared"] = "shared"  # noadv*, adv: one forward a step; or one a task, as printed
    critic_every: int = 5  # adv: m, target steps between updates of the transfer nets
    critic_lr: float = 1e-5  # adv: learning rate of the transfer nets
    energy: Literal["hinge", "literal"] = "hinge"  # adv: bounded energy (EBGAN), or real - fake as printed in the paper
    margin: float = 2.0  # adv: hinge margin in units of the energy of real tuples at the start
    real_tuples: Literal["truth", "pred"] = "truth"  # adv: inputs of real tuples, ground truth or source predictions
    joint_weight: float = 1.0  # b-*: weight of the joint critic's score
    joint_lr: float = 1e-4  # b-*: learning rate of the joint critic
    joint_steps: int = 5  # b-*: updates of the critic to each target step
    gp: float = 10.0  # b-*: weight of the gradient penalty
    fcf: float = 10.0  # b-fcf: weight of the feature reconstruction
    entropy_weight: float = 1.0  # minent: weight of the entropy of seg
    output_weight: float = 1.0  # output-adv: weight of the critics of the outputs
    output_lr: float = 1e-4  # output-adv: learning rate of the critics
    consistency: float = 1.0  # self-training, mean-teacher: weight of the pseudo labels
    teacher_decay: float = 0.99  # self-training, mean-teacher: share of the teacher that a step keeps
    looks: Names = ("mirror",)  # self-training: mirror, zoom, transfer; what else the teacher's maps are merged with
    keep_level: bool = True  # self-training of all weights: depth as a whole stays where the source model sees it
    sure: bool = False  # self-training: classes that the teacher is sure of are learnt, in place of its probabilities
    disturb: bool = True  # self-training: the student's features of photos lack channels and have noise
    masked: float = 0.0  # self-training: share of patches hidden in half of the photos; .5 helps from 600 steps on
    paste: float = 0.0  # self-training: share of photos that get objects of rendered views; .5 helps as --masked does
    confidence: float = 0.5  # --sure, mean-teacher: classes count by how far their probability is above this
    candidates: int = 0  # checkpoints, and the start, among which the label-free selector chooses; 0 = keep the last
    clip: float = 10.0  # largest gradient norm of a turn
    save_every: int = 200  # steps between checkpoints
    seed: int = 0  # of order and augmentation
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write what was done here too

    @property
    def trains(self) -> str:
        """Which of the target's weights are trained, see `UMAdapt.target`."""
        return self.adapt or "res5"


@dataclass(frozen=True)
class Semi:
    """Go on from an adapted run with a few labelled photos of the target (UM-Adapt-S)."""

    run: Positional[Path]  # a run folder made by adapt
    target: UseAppendAction[tuple[str, ...]]  # a folder of photos, or DATA:SPLIT; may be given several times
    labelled: UseAppendAction[tuple[str, ...]]  # labelled photos of the target; may be given several times
    out: Path  # run folder to write (an unfinished one is continued)
    mix: Literal["union", "alternate"] = "union"  # several folders: shuffled together, or a batch of each in turn
    class_map: ClassMap = None  # merge classes of the labelled photos; default: as RUN's source was
    depth_labels: int = 0  # use the depth of that many labelled photos, drawn with --seed; 0 = of all
    steps: int = 200  # steps, each with a labelled batch and one without labels
    batch: int = 16  # images of each of the two
    micro_batch: int = 0  # images that go through a network at once, for less memory; 0 = the whole batch
    checkpoint_activations: bool = False  # keep fewer activations and compute them again: less memory, same result
    precision: Literal["fp32", "bf16", "auto"] = "fp32"  # of forward passes; auto = bf16 where the machine has it
    compile: bool = False  # torch.compile the networks; needs a C++ compiler (see docs/speed.md)
    kept_views: int = 4  # views of each photo without labels, as `adapt` keeps them; 0 = all new
    shared_views: Path | None = None  # a folder to keep those in for other runs too; default: in OUT, until the end
    lr: float = 3e-5  # learning rate
    alpha: float | None = None  # weight of the distillation term on labelled photos; default: as RUN was trained
    energy_weight: float = 1.0  # weight of the cross-task energy on photos without labels
    ccr: float = 10.0  # lambda, weight of the contour loss
    gradient_mask: Literal["class", "uniform", "off"] = "class"  # random mask between seg prediction and transfer net
    train_decoders: bool = False  # train the decoders too, not Res-5 alone
    decay: float = 0.5  # share of the steps, at the end, over which the learning rate falls to zero
    clip: float = 10.0  # largest gradient norm of a turn
    save_every: int = 200  # steps between checkpoints
    seed: int = 0  # of order and augmentation
    device: str = "auto"  # auto, cpu, cuda


Training = Train | Adapt | Semi  # what takes steps
