from pathlib import Path

import numpy as np
import torch
from torch import nn


class Block(nn.Module):  # written by anereport 0.1.0
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(800, 800, 1)
        self.conv2 = nn.Conv2d(128, 800, 1)
        self.conv3 = nn.Conv2d(1600, 1600, (5, 1), groups=1600)

    def forward(self, input2, input1):  # [1, 128, 43, 1], [1, 800, 43, 1]
        conv1_output = self.conv1(input1)
        conv2_output = self.conv2(input2)
        concat_output = torch.cat([conv1_output, conv2_output], -3)
        return self.conv3(concat_output)


def load():
    model, weights = Block(), np.load(Path(__file__).with_name("weights.npz"))
    model.load_state_dict({key: torch.from_numpy(weights[key]) for key in weights})
    return model.eval().requires_grad_(False)
