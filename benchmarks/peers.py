"""The peers, each as its authors would write it: no tricks of ours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mri2pet.model import PublishedUNet


class ReleasedTraining:
    """The released fine-tuning step in plain PyTorch: fp32, default memory, Adam.

    Noise loss plus 0.25 times the Laplacian pyramid of the predicted volumes; both
    pyramids are made, and the gradient is clipped at 0.5.
    """

    def __init__(self, pet_shape, mri_shape) -> None:
        self.network = PublishedUNet(pet_shape, mri_shape)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        self.abar = torch.cumprod(1 - torch.linspace(0.0015, 0.02, 1000), 0)

    def step(self, mri: torch.Tensor, pet: torch.Tensor) -> None:
        """One update on one batch."""
        t = torch.randint(1, 1000, (len(pet),))
        noise = torch.randn_like(pet)
        abar = self.abar[t].view(-1, 1, 1, 1, 1)
        x_t = abar.sqrt() * pet + (1 - abar).sqrt() * noise
        guess = self.network(x_t, t, self.network.encode(mri))
        x0 = (x_t - (1 - abar).sqrt() * guess) / abar.sqrt()
        pyramids = zip(_pyramid(pet[:, 0]), _pyramid(x0[:, 0]), strict=True)
        detail = sum(F.mse_loss(a, b) for a, b in pyramids)
        loss = F.mse_loss(guess, noise) + 0.25 * detail
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimizer.step()


def _pyramid(x: torch.Tensor, levels: int = 5) -> list[torch.Tensor]:
    bands = []
    for _ in range(levels):
        small = F.avg_pool2d(x, 2)
        up = F.interpolate(small, size=x.shape[-2:], mode="bilinear")
        bands.append(x - up)
        x = small
    return bands


class MonaiTraining:
    """MONAI's DiffusionModelUNet with channels 32, 64, 64; the MRI is a second channel.

    Everything not named keeps MONAI's default, but the number of levels.
    """

    def __init__(self, dtype: str) -> None:
        from monai.networks.nets import DiffusionModelUNet

        self.network = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=1,
            channels=(32, 64, 64),
            attention_levels=(False, False, True),
            num_res_blocks=2,
            num_head_channels=32,
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        self.abar = torch.cumprod(1 - torch.linspace(0.0015, 0.02, 1000), 0)
        self.half = dtype == "bfloat16"

    def step(self, mri: torch.Tensor, pet: torch.Tensor) -> None:
        """One update on one batch, squared error of the noise."""
        t = torch.randint(1, 1000, (len(pet),))
        noise = torch.randn_like(pet)
        abar = self.abar[t].view(-1, 1, 1, 1, 1)
        x_t = abar.sqrt() * pet + (1 - abar).sqrt() * noise
        small = F.interpolate(mri, size=pet.shape[2:], mode="trilinear")
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            guess = self.network(torch.cat([x_t, small], 1), timesteps=t)
        loss = F.mse_loss(guess.float(), noise)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
