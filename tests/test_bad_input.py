"""Bad input of the core: one line with the offending value and what was expected.

The keys are patterns of the messages. The tests of each module hold more cases.
"""

from functools import cache

import numpy as np
import pytest
import torch

from mri2pet.attention import LinearAttention, SelfAttention
from mri2pet.blocks import (
    Down,
    MRIEncoder,
    ResBlock,
    Up,
    depth_to_space,
    space_to_depth,
    time_code,
)
from mri2pet.evaluation.calibration import (
    conformal_interval,
    conformal_quantile,
    coverage,
    largest_level,
    rank_histogram,
    sample_interval,
)
from mri2pet.loss import (
    diffusion_loss,
    laplacian_loss,
    laplacian_pyramid,
    paper_x0_formula,
)
from mri2pet.model import PublishedUNet, SpatialUNet
from mri2pet.pairs import ArrayPairs, batch_indices, step_generator
from mri2pet.recipes import DiffusionRecipe
from mri2pet.samplers import draw_noise, sample
from mri2pet.schedule import NoiseSchedule
from mri2pet.style import (
    StyleTarget,
    gram_matrix_slice,
    gram_matrix_volume,
    histogram_match,
    style_transfer,
)
from mri2pet.synthesis import PetScale, sample_generator, synthesize
from mri2pet.training import Budget, train
from mri2pet.vgg import VGG19Features

S, NAN, INF = NoiseSchedule(), float("nan"), float("inf")
PET, MRI = (4, 8, 8), (8, 16, 16)
X, T = torch.ones(2, 3), torch.tensor([1, 2])
V, GREY = torch.zeros(2, 1, 2, 8, 8), torch.full((1, 2, 8, 8), 0.5)
PETS, MRIS = torch.zeros(2, 1, *PET), torch.zeros(2, 1, *MRI)
FOUR = np.ones(4)


def same(x, t):
    return x


def small():
    return SpatialUNet(PET, MRI, width=8, channel_mults=(1, 2))


net, features = cache(small), cache(VGG19Features)


def drawn(denoise=same, x=X, **kwargs):
    return sample(denoise, S, x, **({"prediction": "x0", "num_calls": 2} | kwargs))


def noise(shape=(2,), generator=None, **kwargs):
    return draw_noise(shape, generator or torch.Generator(), **kwargs)


def lost(prediction="eps", output=V, x0=V, noise=V, t=T, **kwargs):
    how = {"levels": 2, "laplacian": 1.0} | kwargs
    return diffusion_loss(S, prediction, output, x0, noise, t, **how)


def target(style=GREY, content=GREY[0], gram="slice"):
    side = StyleTarget(features(), style, gram)
    return side.loss(features().gram_maps(content)[0])


def styled(content=GREY, style=GREY, **kwargs):
    return style_transfer(content, style, features(), **({"steps": 1} | kwargs))


def made(mri=MRIS, model=None, **kwargs):
    how = {"prediction": "x0", "pet_scale": PetScale(), "person_seeds": [1, 2]}
    return synthesize(model or net(), S, mri, **(how | {"num_calls": 1} | kwargs))


def denoised(x=PETS, t=T, cond=None):
    return net()(x, t, net().encode(MRIS) if cond is None else cond)


def pairs(mri=np.zeros((2, *MRI)), pet=np.zeros((2, *PET))):  # noqa: B008 - read only
    return ArrayPairs(mri, pet)


def budget(**kwargs):
    return Budget(**({"steps": 1, "batch_size": 2} | kwargs))


def trained(recipe=None, steps=budget(), **kwargs):  # noqa: B008 - frozen
    recipe = recipe or DiffusionRecipe(small(), S, "x0", levels=2)
    return train(recipe, pairs(), steps, **({"seed": 0} | kwargs))


def interval(n=FOUR, centre=FOUR, spread=FOUR, new=FOUR, new_spread=FOUR, level=0.5):
    return conformal_interval(n, centre, spread, new, new_spread, level)


SCHEDULES_AND_SAMPLERS = {
    r"num_train_timesteps .* at least 2; got 10\.5": lambda: NoiseSchedule(10.5),
    r"beta_start .* \(0, 1\); got 'a'": lambda: NoiseSchedule(9, "a"),
    r"abar must fall.* 1e-20, 1e-20": lambda: NoiseSchedule(9, 1e-20, 1e-20),
    r"abar must fall.* 0\.9, 0\.9": lambda: NoiseSchedule(1000, 0.9, 0.9),
    "t must hold integers; got None": lambda: S.abar(None),
    "x0 must .* floating.*got torch.int64": lambda: S.q_sample(X.long(), T, X),
    "noise must .* floating.*got torch.int32": lambda: S.q_sample(X, T, X.int()),
    "x0 must .* floating.*got ndarray": lambda: S.q_sample(X.numpy(), T, X),
    "x_t must .* floating.*int32": lambda: S.predict_x0(X.int(), T, X.int()),
    r"t_B must .* \(\), one step": lambda: S.q_sample(X[0, 0], T[:1], X[0, 0]),
    "noise must be on cpu.* got meta": lambda: S.q_sample(X, T, X.to("meta")),
    r"noise .* \(2, 3\), as x0; got \(1, 3\)": lambda: S.target("eps", X, T, X[:1]),
    r"t must lie in 0\.\.999; got 600\.\.1200": lambda: S.target("x0", X, T * 600, X),
    r"output must .* \(2, 3\), as x_t": lambda: S.to_x0_noise("eps", X, T, X[:1]),
    r"prediction must be .* got \['v'\]": lambda: S.target(["v"], X, T, X),
    r"num_calls must be a whole number .* 2\.5": lambda: S.timesteps(2.5),
    r"first and last .* <= 99; got 999 and 1": lambda: NoiseSchedule(100).timesteps(5),
    r"num_calls must lie in 1\.\.9.* got 10": lambda: sample(
        same, NoiseSchedule(10), X, prediction="x0", num_calls=10
    ),
    r"shape must hold .* got \(-1, 2\)": lambda: noise((-1, 2)),
    r"shape must hold .* got \(\)": lambda: noise(()),
    "dtype of noise .* got torch.int64": lambda: noise(dtype=torch.int64),
    r"generator must be .* got \[1, 2\]": lambda: noise(generator=[1, 2]),
    "x_T must .* floating.* torch.int64": lambda: drawn(x=X.long()),
    "x_T holds 6 .*NaN": lambda: drawn(x=X * NAN),
    r"x_T must have shape .* got \(\)": lambda: drawn(x=X[0, 0]),
    r"x_T must have shape .* got \(0, 3\)": lambda: drawn(x=X[:0]),
    r"eta must .* \[0, 1\]; got 2\.0": lambda: drawn(eta=2.0),
    "eta must .* got inf": lambda: drawn(eta=INF),
    r"clip_x0 must be \(low, high\) .* got 3\.0": lambda: drawn(clip_x0=3.0),
    r"clip_x0 .* got \(1, 2, 3\)": lambda: drawn(clip_x0=(1, 2, 3)),
    r"clip_x0 .* got \('a', 'b'\)": lambda: drawn(clip_x0=("a", "b")),
    "output must .* got NoneType": lambda: drawn(lambda x, t: None),
    "output must .* got torch.int64": lambda: drawn(lambda x, t: x.long()),
    r"output must have shape \(2, 3\)": lambda: drawn(lambda x, t: x[:, :1]),
}

LOSSES_AND_STYLE = {
    "a volume must .*int32": lambda: laplacian_pyramid(V.int(), 2),
    r"levels must .* got 2\.0": lambda: laplacian_pyramid(V, 2.0),
    r"volume needs .* got \(0, 1, 2": lambda: laplacian_pyramid(V[:0], 2),
    "x0 must .*uint8": lambda: laplacian_loss(V.byte(), V.byte(), 2),
    "x0 holds 256 .*NaN": lambda: laplacian_loss(V * NAN, V, 2),
    r"noise .* \(2, 1, 2, 8, 8\), as x0; got \(1,": lambda: lost(noise=V[:1]),
    r"noise .* as x0; got \(2, 1, 1": lambda: lost("x0", noise=V[:, :, :1]),
    r"t_B must .* \(2,\), .* got \(1,\)": lambda: lost(t=T[:1]),
    r"t_B must .* \(2,\), .* got \(\)": lambda: lost("x0", t=T[0]),
    "output must .*int32": lambda: lost(output=V.int()),
    r"laplacian must .* \[0, inf\); got nan": lambda: lost(laplacian=NAN),
    "x0 holds 256 values": lambda: lost("x0", x0=V / 0),
    "noise holds 256 values": lambda: lost(noise=V / 0),
    r"noise .* as x_t; got \(1, 3\)": lambda: paper_x0_formula(S, X, T, X[:1]),
    r"t_B .* \(1,\) for data": lambda: paper_x0_formula(S, X, T[:1], X),
    r"maps must .* got \(2, 3\)": lambda: gram_matrix_slice(X),
    r"maps must .* got \(0, 2": lambda: gram_matrix_volume(GREY[:0]),
    r"style must .* got \(2, 8, 8\)": lambda: target(GREY[0]),
    "style holds 128": lambda: target(GREY * NAN),
    r"layer 0.*\(2, 18, 12, 12\) do not fit .* 1 x 2 slices of \(18, 8, 8\)": lambda: (
        target(content=torch.zeros(2, 12, 12))
    ),
    r"\(3, 18, 8, 8\) do not fit": lambda: target(content=torch.zeros(3, 8, 8)),
    "do not fit .* 3 x 2 slices": lambda: target(GREY.expand(3, -1, -1, -1)),
    r"style must have shape \(1, 2, 8, 8\).* got \(1, 2, 8, 12\)": lambda: styled(
        style=torch.zeros(1, 2, 8, 12)
    ),
    "content must .* ndarray": lambda: styled(GREY.numpy()),
    "content must .*uint8": lambda: styled(GREY.byte()),
    r"content must .* got \(1, 0, 8, 8\)": lambda: styled(GREY[:, :0]),
    "slices must be torch.float32, as .*float64": lambda: styled(GREY.double()),
    r"slices .* at least 4; got \(2, 8, 2\)": lambda: styled(*[GREY[..., :2]] * 2),
    r"steps must .* at least 1; got 2\.5": lambda: styled(steps=2.5),
    "style_weight must .* got nan": lambda: styled(style_weight=NAN),
    r"content_weight must .* got -1\.0": lambda: styled(content_weight=-1.0),
    r"lr must .* \(0, inf\); got 0\.0": lambda: styled(lr=0.0),
    "autocast must .* None, torch.bfloat16.* got torch.int64": lambda: styled(
        autocast=torch.int64
    ),
    "reference is empty": lambda: histogram_match(X, X[:0]),
    "reference holds 6": lambda: histogram_match(X, X * NAN),
    "content must .*int64": lambda: histogram_match(T, X),
    r"slices must .* got \(1, 1, 8, 8\)": lambda: features()(GREY[:, :1]),
    "seed must .* got 1.5": lambda: VGG19Features(seed=1.5),
}

NETWORKS = {
    "pet_shape must hold .* got 32": lambda: PublishedUNet(32),
    r"mri_shape .* got \(16\.0, 16": lambda: PublishedUNet((16,) * 3, (16.0, 16, 16)),
    r"pet_shape .* got \(0, 8, 8\)": lambda: SpatialUNet((0, 8, 8), MRI),
    r"mri_shape .* got \(-8, 16, 16\)": lambda: SpatialUNet(PET, (-8, 16, 16)),
    r"width must .* got 8\.0": lambda: SpatialUNet(PET, MRI, width=8.0),
    r"channel_mults .* \(1, 1\.5\)": lambda: SpatialUNet(
        PET, MRI, channel_mults=(1, 1.5)
    ),
    "mri must .* ndarray": lambda: net().encode(MRIS.numpy()),
    "mri must be torch.float32, as the w.*float64": lambda: net().encode(MRIS.double()),
    "mri must be on cpu, as the w.*meta": lambda: net().encode(MRIS.to("meta")),
    "x must be torch.float32, .*float64": lambda: denoised(PETS.double()),
    r"cond must be encode\(mri\).* \(2, 1, 8, 16, 16\)": lambda: denoised(cond=MRIS),
    r"cond .* \(batch,\) \+ \(8, 4, 4, 4\); got \(2, 8, 1, 1, 1\)": lambda: denoised(
        cond=torch.zeros(2, 8, 1, 1, 1)
    ),
    "cond must .* got int": lambda: denoised(cond=1),
    "t_B must be integers .*bool": lambda: denoised(t=T > 1),
    "t_B must be integers .* list": lambda: denoised(t=[1, 2]),
    "t_B must not be negative; got -2": lambda: denoised(t=-T),
    r"t_B must have shape \(B,\); got \(\)": lambda: time_code(T[0]),
    "size must .* got 0": lambda: time_code(T, 0),
    r"period must .* got -1\.0": lambda: time_code(T, 4, -1.0),
    "dims must be one of 2, 3; got 1": lambda: Down(1, 1, 1, dims=1),
    "dims must .* got 4": lambda: Up(1, 1, 1, dims=4),
    "dims must be .* 3; got 1": lambda: MRIEncoder((16,)),
    "dims .* got 5": lambda: LinearAttention(4, dims=5),
    "heads must .* 1; got 0": lambda: SelfAttention(4, heads=0),
    "convs must .* 1; got 0": lambda: ResBlock(4, 4, convs=0),
    r"factors must .* got \(0, 2\)": lambda: space_to_depth(V[0], (0, 2)),
    r"factors must .* got \(-2, -2\)": lambda: depth_to_space(V[0], (-2, -2)),
    r"x must have shape \(B, C \* 4.* got \(1, 2, 8, 8\)": lambda: depth_to_space(
        V[0], (2, 2)
    ),
    r"2 spatial axes .* got \(2, 1, 2, 8, 8\)": lambda: depth_to_space(V, (1, 1)),
}

SYNTHESIS_AND_TRAINING = {
    "shift must .* got 'a'": lambda: PetScale("a"),
    "scale must .* got None": lambda: PetScale(0.0, None),
    "suvr holds 2 .*NaN": lambda: PetScale.fit(np.array([1, NAN, INF])),
    "suvr is empty": lambda: PetScale.fit(np.zeros(0)),
    "suvr must hold real numbers; got <U1": lambda: PetScale.fit(["a"]),
    r"\(seed, person, .* got \(1\.5, 0, 0\)": lambda: sample_generator(1.5, 0, 0),
    r"mri needs .* got \(2, 8, 16, 12\)|16, 12\)": lambda: made(MRIS[..., :12]),
    r"mri must lie in \[0, 1\]; got 4095 to 4095": lambda: made(MRIS + 4095),
    "mri must hold real numbers; got object": lambda: made(None),
    "mri must be torch.float64, as the w": lambda: made(model=small().double()),
    r"person_seeds .* got \[1\.5, 2\.5\]": lambda: made(person_seeds=[1.5, 2.5]),
    r"person_seeds .* got \[1, -2\]": lambda: made(person_seeds=[1, -2]),
    r"num_samples must .* got 2\.0": lambda: made(num_samples=2.0),
    "autocast must .* got 'bfloat16'": lambda: made(autocast="bfloat16"),
    "mri_NDHW must .* list": lambda: pairs([[1.0]]),
    "mri_NDHW must hold real.* object": lambda: pairs(np.array([None, None])),
    r"mri_NDHW\[1\] holds 1 .*NaN": lambda: pairs(np.array([[1, 2], [3, NAN]])),
    r"target_NDHW\[0\] holds 3": lambda: pairs(pet=np.full((2, 3), INF)),
    "steps must .* got 0": lambda: budget(steps=0),
    "batch_size must .* got -2": lambda: budget(batch_size=-2),
    "learning_rate must .* nan": lambda: budget(learning_rate=NAN),
    "learning_rate_schedule .* 'linear'": lambda: budget(
        learning_rate_schedule="linear"
    ),
    "accumulation must .* 'wrong'": lambda: budget(accumulation="wrong"),
    "accumulation_steps .* got 0": lambda: budget(accumulation_steps=0),
    "warmup_steps .* got -1": lambda: budget(warmup_steps=-1),
    "clip_norm .* got 0": lambda: budget(clip_norm=0),
    r"ema_decay .* \[0, 1\]; got 1\.5": lambda: budget(ema_decay=1.5),
    "checkpoint_every .* got 0": lambda: budget(checkpoint_every=0),
    "dtype must be one of float32, .* 'float16'": lambda: trained(dtype="float16"),
    "device must be one of cpu, .* 'tpu'": lambda: trained(device="tpu"),
    "seed must .* got -1": lambda: trained(seed=-1),
    "n must .* got 0": lambda: batch_indices(0, 2, 0, 0),
    r"step must .* got 0\.5": lambda: step_generator(0, 0.5),
    "condition_noise .* nan": lambda: DiffusionRecipe(
        None, S, "x0", condition_noise=NAN
    ),
}

CALIBRATION = {
    "level must .* got 'a'": lambda: sample_interval(np.zeros((3, 9)), "a"),
    "at least 3 samples .* got 0": lambda: sample_interval(np.zeros((3, 0)), 0.5),
    "samples must .*complex": lambda: sample_interval(np.zeros((2, 9), complex), 0.5),
    r"low <= high; got 2 and 1": lambda: coverage(FOUR, FOUR * 2, FOUR),
    r"confidence must .* got 1\.5": lambda: coverage(FOUR, FOUR, FOUR, 1.5),
    "truth must .* <U1": lambda: rank_histogram(np.array(["a"]), np.zeros((1, 2))),
    "people must .* got -2": lambda: largest_level(-2),
    "at least 1 people .* got 0": lambda: conformal_quantile(np.zeros(0), 0.5),
    "at least 9 people .* got 4": lambda: interval(level=0.9),
    "4 true values, 1 centres": lambda: interval(centre=FOUR[:1]),
    "4 centres and 1 spreads": lambda: interval(spread=FOUR[:1]),
    "4 new centres and 1 new spreads": lambda: interval(new_spread=FOUR[:1]),
}

CASES = (
    SCHEDULES_AND_SAMPLERS
    | LOSSES_AND_STYLE
    | NETWORKS
    | SYNTHESIS_AND_TRAINING
    | CALIBRATION
)


@pytest.mark.parametrize(("message", "call"), CASES.items(), ids=CASES)
def test_bad_input_is_named_in_one_line(message, call):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 350
