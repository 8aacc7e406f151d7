"""Small networks for the attacks, named on the command line as attack_networks:NAME."""


def torch_net(num_classes):
    """Return a linear classifier in PyTorch."""
    from torch import nn

    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, num_classes))


def keras_net(num_classes):
    """Return a linear classifier in Keras."""
    from keras import Sequential, layers

    head = [layers.AveragePooling2D(12), layers.Flatten(), layers.Dense(num_classes, name="head")]
    return Sequential([layers.Input((24, 24, 3)), *head])
