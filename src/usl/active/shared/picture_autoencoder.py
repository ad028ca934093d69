"""The variational autoencoder of pictures that VAAL trains.

Sinha, Ebrahimi, Darrell: Variational Adversarial Active Learning (ICCV 2019), with the layers of
the authors' code for pictures of 32 px.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

SIDE = 32  # of the pictures it sees, px


class PictureAutoencoder(nn.Module):  # type: ignore[misc]
    """Four convolutions of stride 2 to a code, and four back; batch normalisation between.

    Parameters
    ----------
    latent : width of the code; width : channels after the first convolution, doubled by each.
    """

    def __init__(self, latent: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**step for step in range(4)]
        self.encoder = nn.Sequential(
            *(
                layer
                for inputs, outputs in zip([3, *widths], widths, strict=False)
                for layer in _stage(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False))
            ),
            nn.Flatten(),
        )
        flat = widths[-1] * (SIDE // 16) ** 2
        self.mean = nn.Linear(flat, latent)
        self.log_variance = nn.Linear(flat, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, widths[-1] * 4 * 4),
            nn.Unflatten(1, (widths[-1], 4, 4)),
            *(
                layer
                for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True)
                for layer in _stage(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False))
            ),
            nn.ConvTranspose2d(width, 3, 1),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def scaled(self, images: Tensor) -> Tensor:
        """Pictures 0..1 [b, 1 or 3, h, w] as it takes them, -1..1 [b, 3, 32, 32]."""
        if images.shape[-1] != SIDE:
            images = functional.interpolate(
                images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
            )
        return 2 * images.expand(-1, 3, -1, -1) - 1

    def code(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code of scaled pictures, [b, latent] both."""
        seen = self.encoder(pictures)
        return self.mean(seen), self.log_variance(seen)

    def forward(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pictures made of a drawn code, and the code's mean and logarithm of the variance.

        ``noise`` : standard normal, [b, latent].
        """
        mean, log_variance = self.code(pictures)
        return self.decoder(mean + noise * (0.5 * log_variance).exp()), mean, log_variance


def _stage(convolution: nn.Module) -> list[nn.Module]:
    """A convolution, batch normalisation and ReLU."""
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
