from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def initial_state(steps: Tensor, size: int, *states: Tensor) -> Tensor:
    """Return [directions, Batch, C] of a state [1, Batch, C] or [1, Batch, C, H, W] for each.

    coremltools' converter also writes [Batch, 1, C], and more rows than the batch has.
    """
    rows = [s.permute(0, 1, *range(3, s.ndim), 2).reshape(1, -1, size) for s in states]
    return torch.cat([row[:, : steps.shape[1]] for row in rows])


class Model(nn.Module):  # written by anereport 0.1.0
    def __init__(self):
        super().__init__()
        self.n26_lstm_h0_reshaped = nn.Buffer(torch.empty(1, 12))
        self.n26_lstm_c0_reshaped = nn.Buffer(torch.empty(1, 12))
        self.n26 = nn.LSTM(4, 6, bidirectional=True)

    def forward(self, x0):  # [5, 1, 4]
        n26_lstm_h0_reshaped_expanded_3 = (
            self.n26_lstm_h0_reshaped.unsqueeze(0).unsqueeze(3).unsqueeze(4)
        )
        n26_lstm_c0_reshaped_expanded2_3 = (
            self.n26_lstm_c0_reshaped.unsqueeze(0).unsqueeze(3).unsqueeze(4)
        )
        n26_lstm_h0_reshaped_expanded_3_forward, n26_lstm_h0_reshaped_expanded_3_reverse = (
            torch.tensor_split(n26_lstm_h0_reshaped_expanded_3, 2, 2)
        )
        n26_lstm_c0_reshaped_expanded2_3_forward, n26_lstm_c0_reshaped_expanded2_3_reverse = (
            torch.tensor_split(n26_lstm_c0_reshaped_expanded2_3, 2, 2)
        )
        y_5d, _ = self.n26(
            x0,
            (
                initial_state(
                    x0,
                    6,
                    n26_lstm_h0_reshaped_expanded_3_forward,
                    n26_lstm_h0_reshaped_expanded_3_reverse,
                ),
                initial_state(
                    x0,
                    6,
                    n26_lstm_c0_reshaped_expanded2_3_forward,
                    n26_lstm_c0_reshaped_expanded2_3_reverse,
                ),
            ),
        )
        return y_5d


def load():
    model, weights = Model(), np.load(Path(__file__).with_name("weights.npz"))
    model.load_state_dict({key: torch.from_numpy(weights[key]) for key in weights})
    return model.eval().requires_grad_(False)


# what Core ML calls the blobs and layers that have another name here
NAMES = {
    "n26_lstm_h0_reshaped_expanded_3": "26_lstm_h0_reshaped_expanded_3",
    "n26_lstm_c0_reshaped_expanded2_3": "26_lstm_c0_reshaped_expanded2_3",
    "n26_lstm_h0_reshaped_expanded_3_forward": "26_lstm_h0_reshaped_expanded_3_forward",
    "n26_lstm_h0_reshaped_expanded_3_reverse": "26_lstm_h0_reshaped_expanded_3_reverse",
    "n26_lstm_c0_reshaped_expanded2_3_forward": "26_lstm_c0_reshaped_expanded2_3_forward",
    "n26_lstm_c0_reshaped_expanded2_3_reverse": "26_lstm_c0_reshaped_expanded2_3_reverse",
    "n26_lstm_h0_reshaped": "26_lstm_h0_reshaped",
    "n26_lstm_c0_reshaped": "26_lstm_c0_reshaped",
    "n26": "26",
}
