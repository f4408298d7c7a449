"""Style transfer against naive loops, a plain VGG, finite differences and bad input."""

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2pet.style import (
    MOVED,
    PUBLISHED_STYLE_WEIGHT,
    StyleTarget,
    VGG19Features,
    gram_matrix_slice,
    gram_matrix_volume,
    histogram_match,
    style_transfer,
)
from mri2pet.vgg import IMAGENET_MEAN, IMAGENET_SD, LAYERS

GRAMS = ("slice", "volume")


def rand(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=dtype)


@pytest.fixture(scope="module")
def features():
    return VGG19Features(seed=3)


def plain_vgg(features, grey_SHW):
    """Three colour channels, normalised, the layers in their usual order."""
    mean, sd = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_SD))
    x = (grey_SHW[:, None].repeat(1, 3, 1, 1) - mean) / sd
    maps = {}
    for index in range(11):
        if index in LAYERS:
            conv = features.features[str(index)]
            x = maps[index] = F.conv2d(x, conv.weight, conv.bias, padding=1)
        elif index in (4, 9):
            x = F.max_pool2d(x, 2)
        else:
            x = F.relu(x)
    return maps


def loop_gram(rows):
    """Gram matrix of a list of flat feature maps, entry by entry."""
    gram = np.zeros((len(rows), len(rows)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            gram[i, j] = sum(float(p) * float(q) for p, q in zip(a, b, strict=True))
    return gram / (len(rows) * len(rows[0]))


def naive_style_loss(features, content_DHW, style_DHW, gram):
    """The published loss with full matrices of plain features, in float64."""
    total = 0.0
    theirs = plain_vgg(features, style_DHW)
    for i, f in plain_vgg(features, content_DHW).items():
        f, g = f.double().numpy(), theirs[i].double().numpy()
        if gram == "volume":
            f, g = f.reshape(1, -1, f[0, 0].size), g.reshape(1, -1, g[0, 0].size)
        else:
            f, g = f.reshape(*f.shape[:2], -1), g.reshape(*g.shape[:2], -1)
        per_matrix = [
            (((a @ a.T - b @ b.T) / a.size) ** 2).mean()
            for a, b in zip(f, g, strict=True)
        ]
        total += np.mean(per_matrix)
    return total


# -- Gram matrices ---------------------------------------------------------------------


def test_gram_matrices_by_loops():
    f = rand(3, 2, 4, 5, dtype=torch.float64) - 0.3
    for s in range(3):
        expected = loop_gram(list(f[s].flatten(1).numpy()))
        np.testing.assert_allclose(gram_matrix_slice(f)[s], expected, rtol=1e-12)
    expected = loop_gram(list(f.flatten(0, 1).flatten(1).numpy()))
    np.testing.assert_allclose(gram_matrix_volume(f), expected, rtol=1e-12)


def test_volume_gram_holds_the_slices_on_its_diagonal():
    f = rand(4, 3, 5, 5, dtype=torch.float64)
    whole = gram_matrix_volume(f).view(4, 3, 4, 3)
    for s in range(4):
        torch.testing.assert_close(whole[s, :, s] * 4, gram_matrix_slice(f)[s])
    assert whole[0, :, 1].abs().min() > 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_gram_forgets_where_things_are(seed):
    f = rand(2, 3, 4, 4, seed=seed, dtype=torch.float64)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    moved = f.flatten(2)[..., order].view_as(f)
    torch.testing.assert_close(gram_matrix_slice(moved), gram_matrix_slice(f))
    torch.testing.assert_close(gram_matrix_volume(moved), gram_matrix_volume(f))


# -- features --------------------------------------------------------------------------


def test_folded_features_equal_the_plain_network(features):
    """Borders included: the folded channel of ones stands for the padding."""
    x = rand(2, 12, 16)
    ours, theirs = features(x), plain_vgg(features, x)
    assert list(ours) == list(LAYERS)
    for i, f in theirs.items():
        torch.testing.assert_close(ours[i], f, rtol=1e-4, atol=1e-4)


def test_features_are_seeded_frozen_and_leave_the_global_generator(features):
    state = torch.get_rng_state()
    again, other = VGG19Features(seed=3), VGG19Features(seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    weight = again.features["10"].weight
    assert torch.equal(weight, features.features["10"].weight)
    assert not torch.equal(weight, other.features["10"].weight)
    assert not any(p.requires_grad for p in again.parameters())
    assert again.name == "vgg19_random"


def made_state(seed=9):
    """A state dictionary with torchvision's names; deeper layers are ignored."""
    state = {"features.12.weight": torch.zeros(1), "classifier.0.bias": torch.zeros(1)}
    for i, (a, b) in LAYERS.items():
        state[f"features.{i}.weight"] = rand(b, a, 3, 3, seed=seed + i) - 0.5
        state[f"features.{i}.bias"] = rand(b, seed=seed - 1 - i)
    return state


def test_weights_load_from_a_torchvision_file(tmp_path):
    path, state = tmp_path / "vgg.pth", made_state()
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = VGG19Features(path, sha256=digest)
    assert loaded.name == "vgg19"
    for i in LAYERS:
        conv = loaded.features[str(i)]
        assert torch.equal(conv.weight, state[f"features.{i}.weight"])
    x = rand(1, 8, 8)
    torch.testing.assert_close(
        loaded(x)[2], plain_vgg(loaded, x)[2], rtol=1e-4, atol=1e-3
    )


def test_the_digest_in_a_file_name_is_checked(tmp_path):
    plain = tmp_path / "vgg.pth"
    torch.save(made_state(), plain)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    good = plain.rename(tmp_path / f"vgg19-{digest[:8]}.pth")
    VGG19Features(good)
    bad = good.rename(tmp_path / "vgg19-dcbb9e9d.pth")
    with pytest.raises(ValueError, match="dcbb9e9d"):
        VGG19Features(bad)


def test_wrong_weight_files_are_refused_by_name(tmp_path):
    path, state = tmp_path / "vgg.pth", made_state()
    with pytest.raises(ValueError, match=r"vgg\.pth.*random features"):
        VGG19Features(path)
    torch.save(state, path)
    with pytest.raises(ValueError, match="sha256"):
        VGG19Features(path, sha256="00" * 32)
    del state["features.5.bias"]
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"features\.5\.bias"):
        VGG19Features(path)
    state["features.5.bias"] = torch.zeros(7)
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"features\.5\.bias has shape \(7,\)"):
        VGG19Features(path)


# -- the loss --------------------------------------------------------------------------


@pytest.mark.parametrize("gram", GRAMS)
@pytest.mark.parametrize("plane", [(8, 8), (24, 24)])
def test_style_loss_equals_the_naive_one(features, gram, plane):
    """Both planes, so that both sides of the identity are taken."""
    content, style = rand(2, 3, *plane), rand(2, 3, *plane, seed=1) * 0.6
    maps, _ = features.gram_maps(content.flatten(0, 1))
    ours = StyleTarget(features, style, gram).loss(maps)
    for b in range(2):
        naive = naive_style_loss(features, content[b], style[b], gram)
        assert ours[b].item() == pytest.approx(naive, rel=2e-3)


@pytest.mark.parametrize("gram", GRAMS)
@pytest.mark.parametrize("plane", [(6, 6), (20, 20)])
def test_gradient_of_the_style_loss(gram, plane):
    """Autograd through full matrices of plain features, in float64."""
    features = VGG19Features(seed=1).double()
    x = rand(1, 2, *plane, dtype=torch.float64).requires_grad_()
    style = rand(1, 2, *plane, seed=1, dtype=torch.float64)
    maps, _ = features.gram_maps(x.flatten(0, 1))
    (ours,) = torch.autograd.grad(
        StyleTarget(features, style, gram).loss(maps).sum(), x
    )
    matrix = gram_matrix_slice if gram == "slice" else gram_matrix_volume
    theirs = features(style[0])
    total = sum(
        F.mse_loss(matrix(f), matrix(theirs[i])) for i, f in features(x[0]).items()
    )
    (plain,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-7 * plain.abs().max())


@pytest.mark.parametrize("gram", GRAMS)
def test_equal_volumes_cost_nothing(features, gram):
    x = rand(1, 2, 16, 16)
    maps, _ = features.gram_maps(x[0])
    scale = StyleTarget(features, torch.zeros_like(x), gram).loss(maps)
    assert StyleTarget(features, x, gram).loss(maps).item() < 1e-6 * scale.item()


# -- the transfer ----------------------------------------------------------------------


@pytest.mark.parametrize("gram", GRAMS)
def test_transfer_moves_towards_the_style_and_says_so(features, gram):
    content = rand(2, 3, 16, 16)
    style = 0.3 * rand(2, 3, 16, 16, seed=1) + 0.6
    result = style_transfer(content, style, features, gram=gram, steps=12)
    assert result.styled_BDHW.shape == content.shape
    assert result.styled_BDHW.min() >= 0 and result.styled_BDHW.max() <= 1
    for b, row in enumerate(result.report):
        naive = naive_style_loss(features, content[b], style[b], gram)
        assert row["style_loss_before"] == pytest.approx(naive, rel=2e-3)
        assert row["style_loss_after"] < 0.5 * row["style_loss_before"]
        assert row["content_loss_before"] == 0 < row["content_loss_after"]
        moved = (result.styled_BDHW[b] - content[b]).square().mean().sqrt().item()
        assert row["distance_moved"] == pytest.approx(moved, rel=1e-5)
        assert row["moved"] is True and moved > MOVED and row["max_gradient"] > 0


def test_content_loss_is_the_mean_square_at_conv2_2(features):
    content, style = rand(1, 2, 16, 16), rand(1, 2, 16, 16, seed=1)
    result = style_transfer(content, style, features, steps=2)
    difference = (
        plain_vgg(features, result.styled_BDHW[0])[7]
        - plain_vgg(features, content[0])[7]
    )
    assert result.report[0]["content_loss_after"] == pytest.approx(
        difference.square().mean().item(), rel=1e-3
    )


def test_volumes_of_a_batch_do_not_touch_each_other(features):
    content, style = rand(3, 2, 16, 16), rand(3, 2, 16, 16, seed=1)
    together = style_transfer(content, style, features, steps=4, batch_size=3)
    alone = style_transfer(content, style, features, steps=4, batch_size=1)
    torch.testing.assert_close(
        together.styled_BDHW, alone.styled_BDHW, rtol=0, atol=2e-3
    )


def test_one_template_serves_all(features):
    content, template = rand(3, 2, 16, 16), rand(1, 2, 16, 16, seed=1)
    shared = style_transfer(content, template, features, steps=3, batch_size=2)
    copies = style_transfer(
        content, template.expand(3, -1, -1, -1), features, steps=3, batch_size=2
    )
    torch.testing.assert_close(
        shared.styled_BDHW, copies.styled_BDHW, rtol=0, atol=1e-4
    )


def test_published_switches_can_leave_the_image_where_it_is(features):
    """Volume Gram, weight 1000, L-BFGS: the first gradient may lie below its stop."""
    content = 0.5 + 0.001 * rand(1, 4, 16, 16)
    style = content.flip(-1)
    result = style_transfer(
        content,
        style,
        features,
        gram="volume",
        steps=1,
        optimizer="lbfgs",
        style_weight=PUBLISHED_STYLE_WEIGHT,
    )
    row = result.report[0]
    assert row["max_gradient"] < 1e-7
    assert row["moved"] is False
    assert torch.equal(result.styled_BDHW, content)


def test_lbfgs_lowers_the_loss(features):
    content, style = rand(1, 2, 16, 16), 0.5 * rand(1, 2, 16, 16, seed=1)
    result = style_transfer(content, style, features, steps=2, optimizer="lbfgs")
    row = result.report[0]
    assert row["style_loss_after"] < 0.5 * row["style_loss_before"]


def test_a_volume_that_got_worse_is_not_called_styled(features):
    """Adam moves any image; without a fall of the style loss that is no style."""
    style = rand(1, 2, 16, 16)
    content = (style + 1e-3 * rand(1, 2, 16, 16, seed=1)).clamp(0, 1)
    row = style_transfer(content, style, features, steps=1, lr=0.5).report[0]
    assert row["distance_moved"] > MOVED
    assert row["style_loss_after"] > row["style_loss_before"]
    assert row["moved"] is False


@pytest.mark.parametrize("gram", GRAMS)
def test_half_precision_reaches_nearly_the_same_loss(features, gram):
    content = rand(2, 3, 16, 16)
    style = 0.3 * rand(2, 3, 16, 16, seed=1) + 0.6
    exact, half = (
        style_transfer(content, style, features, gram=gram, steps=15, autocast=dtype)
        for dtype in (None, torch.bfloat16)
    )
    for a, b in zip(exact.report, half.report, strict=True):
        for before in ("content_loss_before", "style_loss_before", "max_gradient"):
            assert a[before] == b[before]  # reported numbers are exact
        gained = a["style_loss_before"] - a["style_loss_after"]
        assert b["style_loss_after"] - a["style_loss_after"] < 0.05 * gained


def test_style_weight_zero_keeps_the_content(features):
    content, style = rand(1, 2, 16, 16), rand(1, 2, 16, 16, seed=1)
    result = style_transfer(content, style, features, steps=3, style_weight=0.0)
    assert torch.equal(result.styled_BDHW, content)
    assert result.report[0]["moved"] is False


# -- histogram matching ----------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 5))
def test_histogram_match(seed, scale):
    content = rand(3, 4, 5, seed=seed, dtype=torch.float64)
    reference = scale * rand(60, seed=seed + 1, dtype=torch.float64)
    matched = histogram_match(content, reference)
    torch.testing.assert_close(matched.flatten().sort().values, reference.sort().values)
    order = content.flatten().argsort()
    assert (matched.flatten()[order].diff() >= 0).all()
    torch.testing.assert_close(histogram_match(content, content), content)


def test_histogram_match_keeps_ties():
    matched = histogram_match(torch.tensor([0.0, 0.0, 0.0, 5.0]), torch.arange(9.0))
    assert matched[0] == matched[1] == matched[2] < matched[3] == 8


# -- bad input -------------------------------------------------------------------------

GOOD = torch.full((1, 2, 8, 8), 0.5)


@pytest.mark.parametrize(
    ("content", "style", "kwargs", "message"),
    [
        (GOOD[0], GOOD, {}, r"content .*\(2, 8, 8\)"),
        (GOOD + 1, GOOD, {}, "content .*1.5"),
        (GOOD, GOOD * float("nan"), {}, "style holds 128 .*NaN"),
        (GOOD, torch.full((1, 2, 8, 12), 0.5), {}, r"8, 12\)"),
        (GOOD, GOOD.expand(3, -1, -1, -1), {}, r"\(3, 2, 8, 8\)"),
        (GOOD, GOOD, {"gram": "patch"}, "patch"),
        (GOOD, GOOD, {"optimizer": "sgd"}, "sgd"),
        (GOOD, GOOD, {"steps": 0}, "0"),
        (GOOD, GOOD, {"batch_size": 0}, "0"),
    ],
)
def test_bad_arguments_name_the_value(features, content, style, kwargs, message):
    with pytest.raises(ValueError, match=message):
        style_transfer(content, style, features, **kwargs)
