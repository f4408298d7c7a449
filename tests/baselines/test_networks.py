"""Generator and critic: their sizes in the paper, shapes, heads, masks."""

import pytest
import torch

from mri2pet.baselines.networks import Critic, Generator

PAPER = ((32, 128, 128), (64, 144, 144))  # PET, MRI
MRI = (16, 16, 16)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_parameters_at_the_papers_sizes():
    """Audit, section 6.1."""
    with torch.device("meta"):
        assert parameters(Generator(*PAPER)) == 5_725_297
        for released in (False, True):
            assert parameters(Critic(*PAPER, released=released)) == 8_635_809
        assert parameters(Critic(*PAPER, patch_head=True)) == 8_701_602


def test_features_at_the_papers_sizes():
    with torch.device("meta"):
        fake, found = Generator(*PAPER)(
            torch.empty(2, 256), torch.empty(2, 1, 64, 144, 144), features=True
        )
    assert fake.shape == (2, 1, 32, 128, 128)
    assert [tuple(x.shape[1:]) for x in found] == [
        (16, 4, 8, 8),
        (32, 8, 16, 16),
        (32, 16, 32, 32),
        (16, 32, 64, 64),
        (8, 32, 128, 128),
    ]


@pytest.mark.parametrize("grid", [(16, 32, 32), (16, 48, 48), (17, 33, 16)])
def test_pets_have_the_grid_and_lie_between_plus_and_minus_one(grid):
    torch.manual_seed(0)
    generator, critic = Generator(grid, MRI), Critic(grid, MRI, patch_head=True)
    mri = torch.rand(3, 1, *MRI)
    pet, found = generator(torch.randn(3, 256), mri, features=True)
    assert pet.shape == (3, 1, *grid) and pet.abs().max() <= 1
    assert len(found) == 5 and generator(torch.randn(3, 256), mri).shape == pet.shape
    for patch, layers in ((False, 5), (True, 2)):
        score, found = critic(pet, mri, patch=patch, features=True)
        assert score.shape == (3,) and len(found) == layers


def test_cropping_is_about_the_centre():
    """48 is cut from 64: eight voxels less on each side than the uncropped volume."""
    torch.manual_seed(0)
    small, large = Generator((16, 48, 48), MRI), Generator((16, 64, 64), MRI)
    large.load_state_dict(small.state_dict())
    z, mri = torch.randn(2, 256), torch.rand(2, 1, *MRI)
    cut = large(z, mri)[..., 8:-8, 8:-8]
    inner = (slice(None), slice(None), slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(small(z, mri)[inner], cut[inner])  # less two of padding


def test_both_players_look_at_the_mri_and_the_generator_at_the_noise():
    torch.manual_seed(0)
    grid = (16, 32, 32)
    generator, critic = Generator(grid, MRI), Critic(grid, MRI)
    z, mri = torch.randn(2, 256), torch.rand(2, 1, *MRI)
    pet = generator(z, mri)
    # Fresh weights: the MRI's vector is far smaller than the noise.
    other = torch.stack([torch.zeros(1, *MRI), torch.ones(1, *MRI)])
    assert (pet - generator(z, other)).abs().max() > 1e-4
    assert (pet - generator(-z, mri)).abs().max() > 1e-2
    assert not torch.allclose(critic(pet, mri), critic(pet, mri.flip(2)))
    assert not torch.allclose(critic(pet, mri), critic(-pet, mri))


def test_only_the_released_critic_is_squashed_and_drops_out():
    torch.manual_seed(0)
    grid = (16, 32, 32)
    free, released = Critic(grid, MRI), Critic(grid, MRI, released=True)
    released.load_state_dict(free.state_dict())
    pet, mri = torch.randn(4, 1, *grid), torch.rand(4, 1, *MRI)
    assert torch.equal(free(pet, mri), free(pet, mri))
    assert not torch.equal(released(pet, mri), released(pet, mri))
    torch.testing.assert_close(released.eval()(pet, mri), torch.sigmoid(free(pet, mri)))
    # The four hidden layers after the first drop 40 %, the first none.
    _, found = released.train()(pet, mri, features=True)
    shares = [(x == 0).float().mean().item() for x in found]
    assert shares[0] == 0
    assert all(0.25 < share < 0.55 for share in shares[1:])


def test_a_mask_hides_the_numbers_of_the_encoders():
    torch.manual_seed(0)
    grid = (16, 32, 32)
    critic = Critic(grid, MRI)
    pet, mri = torch.randn(3, 1, *grid), torch.rand(3, 1, *MRI)
    keep = torch.ones(3, 512)
    keep[:, 256:] = 0  # the PET's half
    assert torch.equal(critic(pet, mri, keep_BV=keep), critic(-pet, mri, keep_BV=keep))
    nothing = critic(pet, mri, keep_BV=torch.zeros(3, 1))
    assert torch.equal(nothing, nothing[:1].expand(3))
    torch.testing.assert_close(
        critic(pet, mri, keep_BV=torch.ones(3, 1)), critic(pet, mri)
    )


def test_what_does_not_fit_is_refused_by_value():
    with pytest.raises(ValueError, match=r"at least 16; got \(16, 8, 32\)"):
        Generator((16, 8, 32), MRI)
    critic = Critic((16, 32, 32), MRI)
    with pytest.raises(ValueError, match="made without patch_head"):
        critic(torch.zeros(1, 1, 16, 32, 32), torch.zeros(1, 1, *MRI), patch=True)


def test_a_critic_encodes_the_mri_once_for_several_pets():
    torch.manual_seed(0)
    critic = Critic((16, 32, 32), (16, 32, 32))
    generator = torch.Generator().manual_seed(0)
    pet, mri = torch.rand(2, 2, 1, 16, 32, 32, generator=generator)
    vectors = critic(None, mri)
    assert vectors.shape == (2, 256)
    torch.testing.assert_close(critic(pet, vectors), critic(pet, mri))
