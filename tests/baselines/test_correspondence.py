"""Resemblance of samples in source and target, against its formula written out."""

import math

import numpy as np
import pytest
import torch

from mri2pet.baselines.correspondence import correspondence


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def written_out(source, target, temperature):
    """Mean over i of sum_j p_ij log(p_ij / q_ij), j != i, in numpy."""

    def resemblance(x, i):
        x = x.flatten(1).double().numpy()
        cosines = [
            x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])
            for j in range(len(x))
            if j != i
        ]
        powers = np.exp(np.array(cosines) / temperature)
        return powers / powers.sum()

    total = 0.0
    for i in range(len(source)):
        p, q = resemblance(source, i), resemblance(target, i)
        total += (p * np.log(p / q)).sum()
    return total / len(source)


@pytest.mark.parametrize("n, temperature", [(3, 1.0), (16, 1.0), (5, 0.07)])
def test_correct_is_the_mean_divergence(n, temperature):
    source, target = random(1, n, 2, 3, 4), random(2, n, 2, 3, 4)
    found = correspondence(source, target, temperature=temperature).item()
    assert found == pytest.approx(written_out(source, target, temperature), rel=1e-4)
    assert found > 0.001


def test_scale_of_a_sample_and_size_of_the_features_do_not_matter():
    source, target = random(1, 6, 10), random(2, 6, 2, 5)
    longer = target * (1 + torch.arange(6.0))[:, None, None]
    torch.testing.assert_close(
        correspondence(source, longer), correspondence(source, target)
    )
    assert correspondence(source, random(3, 6, 99)) > 0


def test_equal_resemblance_costs_nothing_unless_released():
    """Each of 16 samples has 15 others: the audit's -0.17 (section 6.4)."""
    x = random(0, 16, 4)
    assert correspondence(x, x).item() == pytest.approx(0, abs=1e-6)
    released = correspondence(x, x, kl="released").item()
    assert released == pytest.approx(-0.17, abs=0.01)
    p = torch.stack([pytorch(x, i) for i in range(16)])
    as_called = torch.nn.functional.kl_div(p, p, reduction="none").mean().item()
    assert released == pytest.approx(as_called, rel=1e-5)
    # The limit of unrelated samples: (log(1/15) - 1/15) / 15.
    uniform = correspondence(torch.eye(16), torch.eye(16), kl="released").item()
    assert uniform == pytest.approx((-math.log(15) - 1 / 15) / 15)


def pytorch(x, i):
    others = torch.cat([x[:i], x[i + 1 :]])
    return torch.cosine_similarity(x[i : i + 1], others).softmax(0)


def test_released_prefers_another_target_to_an_equal_one():
    source = torch.eye(4)[[0, 0, 1, 1]]  # two pairs of twins, at a right angle
    exaggerated = source.clone()
    exaggerated[2:] = -source[:2]  # the pairs opposite each other
    found = {
        kl: [correspondence(source, x, kl=kl).item() for x in (source, exaggerated)]
        for kl in ("correct", "released")
    }
    assert found["correct"][0] == 0 < found["correct"][1]
    assert found["released"][1] < found["released"][0] < 0


def test_descending_brings_the_resemblance_back_and_leaves_the_source_alone():
    source = random(1, 5, 8).requires_grad_(True)
    target = random(2, 5, 8).requires_grad_(True)
    step = torch.optim.Adam([target], lr=0.05)
    before = correspondence(source, target).item()
    for _ in range(200):
        step.zero_grad()
        correspondence(source, target).backward()
        step.step()
    assert correspondence(source, target).item() < 0.01 * before
    assert source.grad is None


def test_bfloat16_autocast_still_sees_a_small_difference():
    x = random(1, 8, 64)
    y = x + 0.01 * random(2, 8, 64)
    plain = correspondence(x, y).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert correspondence(x, y).item() == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2])
def test_too_small_a_batch_is_refused_with_its_size(n):
    with pytest.raises(ValueError, match=rf"at least 3 samples; got {n}$"):
        correspondence(torch.ones(n, 4), torch.ones(n, 4))


def test_wrong_settings_are_refused_by_name():
    with pytest.raises(ValueError, match="'reverse'"):
        correspondence(torch.eye(3), torch.eye(3), kl="reverse")
    with pytest.raises(ValueError, match="3 samples of the source and 4"):
        correspondence(torch.eye(3), torch.eye(4))
