from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_SHAPES = [
    (1, 3, 128, 128),
    (1, 3, 512, 512),
    (1, 3, 768, 768),
    (1, 3, 1024, 1024),
    (1, 3, 1280, 1280),
    (1, 3, 1536, 1536),
    (1, 3, 1792, 1792),
    (1, 3, 2048, 2048),
    (2, 3, 128, 128),
    (2, 3, 512, 512),
    (2, 3, 768, 768),
    (2, 3, 1024, 1024),
    (2, 3, 1280, 1280),
    (2, 3, 1536, 1536),
    (2, 3, 1792, 1792),
    (2, 3, 2048, 2048),
    (3, 3, 128, 128),
    (3, 3, 512, 512),
    (3, 3, 768, 768),
    (3, 3, 1024, 1024),
    (3, 3, 1280, 1280),
    (3, 3, 1536, 1536),
    (3, 3, 1792, 1792),
    (3, 3, 2048, 2048),
    (4, 3, 128, 128),
    (4, 3, 512, 512),
    (4, 3, 768, 768),
    (4, 3, 1024, 1024),
    (4, 3, 1280, 1280),
    (4, 3, 1536, 1536),
    (4, 3, 1792, 1792),
    (4, 3, 2048, 2048),
]


def fits(shape: tuple[int, ...], form: tuple[int | tuple[int, int | None], ...]) -> bool:
    """Tell whether a shape is of a form: a size, or (lowest, highest or None), per dimension."""
    ends = ((n, n) if isinstance(n, int) else n for n in form)
    return len(shape) == len(form) and all(
        low <= n and (high is None or n <= high) for n, (low, high) in zip(shape, ends, strict=True)
    )


def check_shape(
    x: Tensor, name: str, forms: list[tuple[int | tuple[int, int | None], ...]]
) -> None:
    """Refuse a shape that is of none of the forms; further dimensions may lead.

    [Seq, Batch, C, 1, 1] is of the form C.
    """
    for form in forms:
        shape = tuple(x.shape[:-2] if len(form) == 1 and x.ndim > 3 else x.shape)
        if len(shape) >= len(form) and fits(shape[len(shape) - len(form) :], form):
            return
    texts = [[n if isinstance(n, int) else f"{n[0]}..{n[1] or ''}" for n in f] for f in forms]
    wanted = ", ".join("x".join(map(str, text)) for text in texts)
    found = "x".join(map(str, x.shape))
    raise ValueError(f"input {name!r} has shape {found}, the model takes {wanted}")


class BlazefaceShort(nn.Module):  # written by anereport 0.1.0
    def __init__(self):
        super().__init__()
        self.input_5 = nn.Conv2d(3, 24, 5, stride=2)
        self.input_9 = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.n68 = nn.Conv2d(24, 24, 1)
        self.input_15 = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.n89 = nn.Conv2d(24, 28, 1)
        self.input_23 = nn.Conv2d(28, 28, 3, stride=2, groups=28)
        self.n112 = nn.Conv2d(28, 32, 1)
        self.input_31 = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.n138 = nn.Conv2d(32, 36, 1)
        self.input_37 = nn.Conv2d(36, 36, 3, padding=1, groups=36)
        self.n159 = nn.Conv2d(36, 42, 1)
        self.input_45 = nn.Conv2d(42, 42, 3, stride=2, groups=42)
        self.n182 = nn.Conv2d(42, 48, 1)
        self.input_53 = nn.Conv2d(48, 48, 3, padding=1, groups=48)
        self.n208 = nn.Conv2d(48, 56, 1)
        self.input_59 = nn.Conv2d(56, 56, 3, padding=1, groups=56)
        self.n229 = nn.Conv2d(56, 64, 1)
        self.input_65 = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.n250 = nn.Conv2d(64, 72, 1)
        self.input_71 = nn.Conv2d(72, 72, 3, padding=1, groups=72)
        self.n271 = nn.Conv2d(72, 80, 1)
        self.input_77 = nn.Conv2d(80, 80, 3, padding=1, groups=80)
        self.n292 = nn.Conv2d(80, 88, 1)
        self.input_85 = nn.Conv2d(88, 88, 3, stride=2, groups=88)
        self.n330 = nn.Conv2d(88, 96, 1)
        self.input_93 = nn.Conv2d(96, 96, 3, padding=1, groups=96)
        self.n356 = nn.Conv2d(96, 96, 1)
        self.input_99 = nn.Conv2d(96, 96, 3, padding=1, groups=96)
        self.n377 = nn.Conv2d(96, 96, 1)
        self.input_105 = nn.Conv2d(96, 96, 3, padding=1, groups=96)
        self.n398 = nn.Conv2d(96, 96, 1)
        self.input_111 = nn.Conv2d(96, 96, 3, padding=1, groups=96)
        self.n419 = nn.Conv2d(96, 96, 1)
        self.x_3 = nn.Conv2d(88, 2, 1)
        self.gather_0_indices_0 = nn.Buffer(torch.tensor([0.0]))
        self.gather_2_indices_0 = nn.Buffer(torch.tensor([2.0]))
        self.gather_3_indices_0 = nn.Buffer(torch.tensor([3.0]))
        self.n447 = nn.Buffer(torch.tensor([1.0]))
        self.n453 = nn.Buffer(torch.tensor([1.0]))
        self.n456 = nn.Buffer(torch.tensor([1.0]))
        self.element_7 = nn.Buffer(torch.tensor([2.0]))
        self.n452 = nn.Buffer(torch.tensor([2.0]))
        self.x_9 = nn.Conv2d(96, 6, 1)
        self.gather_4_indices_0 = nn.Buffer(torch.tensor([0.0]))
        self.gather_6_indices_0 = nn.Buffer(torch.tensor([2.0]))
        self.gather_7_indices_0 = nn.Buffer(torch.tensor([3.0]))
        self.n500 = nn.Buffer(torch.tensor([1.0]))
        self.n506 = nn.Buffer(torch.tensor([1.0]))
        self.n509 = nn.Buffer(torch.tensor([1.0]))
        self.element_15 = nn.Buffer(torch.tensor([6.0]))
        self.n505 = nn.Buffer(torch.tensor([6.0]))
        self.x_15 = nn.Conv2d(88, 32, 1)
        self.gather_8_indices_0 = nn.Buffer(torch.tensor([0.0]))
        self.gather_10_indices_0 = nn.Buffer(torch.tensor([2.0]))
        self.gather_11_indices_0 = nn.Buffer(torch.tensor([3.0]))
        self.n556 = nn.Buffer(torch.tensor([1.0]))
        self.n562 = nn.Buffer(torch.tensor([1.0]))
        self.n565 = nn.Buffer(torch.tensor([1.0]))
        self.element_23 = nn.Buffer(torch.tensor([2.0]))
        self.n561 = nn.Buffer(torch.tensor([2.0]))
        self.n576 = nn.Buffer(torch.tensor([16.0]))
        self.n586 = nn.Buffer(torch.tensor([16.0]))
        self.x_21 = nn.Conv2d(96, 96, 1)
        self.gather_12_indices_0 = nn.Buffer(torch.tensor([0.0]))
        self.gather_14_indices_0 = nn.Buffer(torch.tensor([2.0]))
        self.gather_15_indices_0 = nn.Buffer(torch.tensor([3.0]))
        self.n612 = nn.Buffer(torch.tensor([1.0]))
        self.n618 = nn.Buffer(torch.tensor([1.0]))
        self.n621 = nn.Buffer(torch.tensor([1.0]))
        self.element = nn.Buffer(torch.tensor([6.0]))
        self.n617 = nn.Buffer(torch.tensor([6.0]))
        self.n632 = nn.Buffer(torch.tensor([16.0]))
        self.n642 = nn.Buffer(torch.tensor([16.0]))

    def forward(self, input):  # [1, 3, 128, 128]
        check_shape(input, "input", INPUT_SHAPES)
        inversed_input_1 = input * 0.003921569
        input_3 = F.pad(inversed_input_1, (1, 2, 1, 2))
        input_5 = self.input_5(input_3)
        input_7 = F.relu(input_5)
        input_9 = self.input_9(input_7)
        n68 = self.n68(input_9)
        input_11 = n68 + input_7
        input_13 = F.relu(input_11)
        input_15 = self.input_15(input_13)
        n89 = self.n89(input_15)
        n91 = F.pad(input_13, (0, 0, 0, 0, 0, 4))
        input_17 = n89 + n91
        input_19 = F.relu(input_17)
        input_21 = F.pad(input_19, (0, 2, 0, 2))
        input_23 = self.input_23(input_21)
        n112 = self.n112(input_23)
        input_25 = F.max_pool2d(input_19, 2)
        n119 = F.pad(input_25, (0, 0, 0, 0, 0, 4))
        input_27 = n112 + n119
        input_29 = F.relu(input_27)
        input_31 = self.input_31(input_29)
        n138 = self.n138(input_31)
        n140 = F.pad(input_29, (0, 0, 0, 0, 0, 4))
        input_33 = n138 + n140
        input_35 = F.relu(input_33)
        input_37 = self.input_37(input_35)
        n159 = self.n159(input_37)
        n161 = F.pad(input_35, (0, 0, 0, 0, 0, 6))
        input_39 = n159 + n161
        input_41 = F.relu(input_39)
        input_43 = F.pad(input_41, (0, 2, 0, 2))
        input_45 = self.input_45(input_43)
        n182 = self.n182(input_45)
        input_47 = F.max_pool2d(input_41, 2)
        n189 = F.pad(input_47, (0, 0, 0, 0, 0, 6))
        input_49 = n182 + n189
        input_51 = F.relu(input_49)
        input_53 = self.input_53(input_51)
        n208 = self.n208(input_53)
        n210 = F.pad(input_51, (0, 0, 0, 0, 0, 8))
        input_55 = n208 + n210
        input_57 = F.relu(input_55)
        input_59 = self.input_59(input_57)
        n229 = self.n229(input_59)
        n231 = F.pad(input_57, (0, 0, 0, 0, 0, 8))
        input_61 = n229 + n231
        input_63 = F.relu(input_61)
        input_65 = self.input_65(input_63)
        n250 = self.n250(input_65)
        n252 = F.pad(input_63, (0, 0, 0, 0, 0, 8))
        input_67 = n250 + n252
        input_69 = F.relu(input_67)
        input_71 = self.input_71(input_69)
        n271 = self.n271(input_71)
        n273 = F.pad(input_69, (0, 0, 0, 0, 0, 8))
        input_73 = n271 + n273
        input_75 = F.relu(input_73)
        input_77 = self.input_77(input_75)
        n292 = self.n292(input_77)
        n294 = F.pad(input_75, (0, 0, 0, 0, 0, 8))
        input_79 = n292 + n294
        input_81 = F.relu(input_79)
        input_83 = F.pad(input_81, (0, 2, 0, 2))
        input_85 = self.input_85(input_83)
        n330 = self.n330(input_85)
        input_87 = F.max_pool2d(input_81, 2)
        n337 = F.pad(input_87, (0, 0, 0, 0, 0, 8))
        input_89 = n330 + n337
        input_91 = F.relu(input_89)
        input_93 = self.input_93(input_91)
        n356 = self.n356(input_93)
        input_95 = n356 + input_91
        input_97 = F.relu(input_95)
        input_99 = self.input_99(input_97)
        n377 = self.n377(input_99)
        input_101 = n377 + input_97
        input_103 = F.relu(input_101)
        input_105 = self.input_105(input_103)
        n398 = self.n398(input_105)
        input_107 = n398 + input_103
        input_109 = F.relu(input_107)
        input_111 = self.input_111(input_109)
        n419 = self.n419(input_111)
        input_113 = n419 + input_109
        input_1 = F.relu(input_113)
        x_3 = self.x_3(input_81)
        n436_shape = torch.tensor(x_3.shape).to(torch.float32)
        gather_0 = n436_shape[self.gather_0_indices_0.long()]
        gather_2 = n436_shape[self.gather_2_indices_0.long()]
        gather_3 = n436_shape[self.gather_3_indices_0.long()]
        floor_div_0 = torch.floor_divide(gather_0, self.n447)
        floor_div_2 = torch.floor_divide(gather_2, self.n453)
        floor_div_3 = torch.floor_divide(gather_3, self.n456)
        result_3 = floor_div_2 * floor_div_3
        n465 = self.element_7 * result_3
        n466_item = n465.squeeze()
        concat_0 = torch.cat([floor_div_0, self.n452, floor_div_2, floor_div_3], 0)
        x_5 = x_3.reshape(concat_0.int().unbind())
        cast_22_floor = torch.floor(n466_item)
        cast_22_ceil = torch.ceil(n466_item)
        cast_22_cond = (n466_item > 0.0).to(torch.float32)
        cast_22 = torch.where(cast_22_cond != 0, cast_22_floor, cast_22_ceil)
        concat_1 = torch.cat([floor_div_0, cast_22.reshape(1)], 0)
        transpose_3 = x_5.permute(0, 2, 3, 1)
        c16x16 = transpose_3.reshape(concat_1.int().unbind())
        x_9 = self.x_9(input_1)
        n489_shape = torch.tensor(x_9.shape).to(torch.float32)
        gather_4 = n489_shape[self.gather_4_indices_0.long()]
        gather_6 = n489_shape[self.gather_6_indices_0.long()]
        gather_7 = n489_shape[self.gather_7_indices_0.long()]
        floor_div_4 = torch.floor_divide(gather_4, self.n500)
        floor_div_6 = torch.floor_divide(gather_6, self.n506)
        floor_div_7 = torch.floor_divide(gather_7, self.n509)
        result_7 = floor_div_6 * floor_div_7
        n518 = self.element_15 * result_7
        n519_item = n518.squeeze()
        concat_2 = torch.cat([floor_div_4, self.n505, floor_div_6, floor_div_7], 0)
        x_11 = x_9.reshape(concat_2.int().unbind())
        cast_18_floor = torch.floor(n519_item)
        cast_18_ceil = torch.ceil(n519_item)
        cast_18_cond = (n519_item > 0.0).to(torch.float32)
        cast_18 = torch.where(cast_18_cond != 0, cast_18_floor, cast_18_ceil)
        concat_3 = torch.cat([floor_div_4, cast_18.reshape(1)], 0)
        transpose_2 = x_11.permute(0, 2, 3, 1)
        c08x08 = transpose_2.reshape(concat_3.int().unbind())
        scores_1_2 = torch.cat([c16x16, c08x08], 1)
        x_15 = self.x_15(input_81)
        n545_shape = torch.tensor(x_15.shape).to(torch.float32)
        gather_8 = n545_shape[self.gather_8_indices_0.long()]
        gather_10 = n545_shape[self.gather_10_indices_0.long()]
        gather_11 = n545_shape[self.gather_11_indices_0.long()]
        floor_div_8 = torch.floor_divide(gather_8, self.n556)
        floor_div_10 = torch.floor_divide(gather_10, self.n562)
        floor_div_11 = torch.floor_divide(gather_11, self.n565)
        result_11 = floor_div_10 * floor_div_11
        n574 = self.element_23 * result_11
        n575_item = n574.squeeze()
        concat_4 = torch.cat([floor_div_8, self.n561, self.n576, floor_div_10, floor_div_11], 0)
        x_17 = x_15.reshape(concat_4.int().unbind())
        cast_14_floor = torch.floor(n575_item)
        cast_14_ceil = torch.ceil(n575_item)
        cast_14_cond = (n575_item > 0.0).to(torch.float32)
        cast_14 = torch.where(cast_14_cond != 0, cast_14_floor, cast_14_ceil)
        concat_5 = torch.cat([floor_div_8, cast_14.reshape(1), self.n586], 0)
        transpose_1 = x_17.permute(0, 3, 4, 1, 2)
        r16x16 = transpose_1.reshape(concat_5.int().unbind())
        x_21 = self.x_21(input_1)
        n601_shape = torch.tensor(x_21.shape).to(torch.float32)
        gather_12 = n601_shape[self.gather_12_indices_0.long()]
        gather_14 = n601_shape[self.gather_14_indices_0.long()]
        gather_15 = n601_shape[self.gather_15_indices_0.long()]
        floor_div_12 = torch.floor_divide(gather_12, self.n612)
        floor_div_14 = torch.floor_divide(gather_14, self.n618)
        floor_div_15 = torch.floor_divide(gather_15, self.n621)
        result = floor_div_14 * floor_div_15
        n630 = self.element * result
        n631_item = n630.squeeze()
        concat_6 = torch.cat([floor_div_12, self.n617, self.n632, floor_div_14, floor_div_15], 0)
        x_23 = x_21.reshape(concat_6.int().unbind())
        cast_10_floor = torch.floor(n631_item)
        cast_10_ceil = torch.ceil(n631_item)
        cast_10_cond = (n631_item > 0.0).to(torch.float32)
        cast_10 = torch.where(cast_10_cond != 0, cast_10_floor, cast_10_ceil)
        concat_7 = torch.cat([floor_div_12, cast_10.reshape(1), self.n642], 0)
        transpose_0 = x_23.permute(0, 3, 4, 1, 2)
        r08x08 = transpose_0.reshape(concat_7.int().unbind())
        regression = torch.cat([r16x16, r08x08], 1)
        scores_1 = scores_1_2.clamp(-80.0, 80.0)
        scores = torch.sigmoid(scores_1)
        return scores, regression


def load():
    model, weights = BlazefaceShort(), np.load(Path(__file__).with_name("weights.npz"))
    model.load_state_dict({key: torch.from_numpy(weights[key]) for key in weights})
    return model.eval().requires_grad_(False)


# what Core ML calls the blobs and layers that have another name here
NAMES = {
    "inversed_input_1": "_inversed_input.1",
    "input_3": "input.3",
    "input_5": "input.5",
    "input_7": "input.7",
    "input_9": "input.9",
    "n68": "68",
    "input_11": "input.11",
    "input_13": "input.13",
    "input_15": "input.15",
    "n89": "89",
    "n91": "91",
    "input_17": "input.17",
    "input_19": "input.19",
    "input_21": "input.21",
    "input_23": "input.23",
    "n112": "112",
    "input_25": "input.25",
    "n119": "119",
    "input_27": "input.27",
    "input_29": "input.29",
    "input_31": "input.31",
    "n138": "138",
    "n140": "140",
    "input_33": "input.33",
    "input_35": "input.35",
    "input_37": "input.37",
    "n159": "159",
    "n161": "161",
    "input_39": "input.39",
    "input_41": "input.41",
    "input_43": "input.43",
    "input_45": "input.45",
    "n182": "182",
    "input_47": "input.47",
    "n189": "189",
    "input_49": "input.49",
    "input_51": "input.51",
    "input_53": "input.53",
    "n208": "208",
    "n210": "210",
    "input_55": "input.55",
    "input_57": "input.57",
    "input_59": "input.59",
    "n229": "229",
    "n231": "231",
    "input_61": "input.61",
    "input_63": "input.63",
    "input_65": "input.65",
    "n250": "250",
    "n252": "252",
    "input_67": "input.67",
    "input_69": "input.69",
    "input_71": "input.71",
    "n271": "271",
    "n273": "273",
    "input_73": "input.73",
    "input_75": "input.75",
    "input_77": "input.77",
    "n292": "292",
    "n294": "294",
    "input_79": "input.79",
    "input_81": "input.81",
    "input_83": "input.83",
    "input_85": "input.85",
    "n330": "330",
    "input_87": "input.87",
    "n337": "337",
    "input_89": "input.89",
    "input_91": "input.91",
    "input_93": "input.93",
    "n356": "356",
    "input_95": "input.95",
    "input_97": "input.97",
    "input_99": "input.99",
    "n377": "377",
    "input_101": "input.101",
    "input_103": "input.103",
    "input_105": "input.105",
    "n398": "398",
    "input_107": "input.107",
    "input_109": "input.109",
    "input_111": "input.111",
    "n419": "419",
    "input_113": "input.113",
    "x_3": "x.3",
    "n436_shape": "436_shape",
    "result_3": "result.3",
    "n465": "465",
    "n466_item": "466_item",
    "x_5": "x.5",
    "x_9": "x.9",
    "n489_shape": "489_shape",
    "result_7": "result.7",
    "n518": "518",
    "n519_item": "519_item",
    "x_11": "x.11",
    "scores_1_2": "scores.1",
    "x_15": "x.15",
    "n545_shape": "545_shape",
    "result_11": "result.11",
    "n574": "574",
    "n575_item": "575_item",
    "x_17": "x.17",
    "x_21": "x.21",
    "n601_shape": "601_shape",
    "n630": "630",
    "n631_item": "631_item",
    "x_23": "x.23",
    "n447": "447",
    "n453": "453",
    "n456": "456",
    "element_7": "element.7",
    "n452": "452",
    "n500": "500",
    "n506": "506",
    "n509": "509",
    "element_15": "element.15",
    "n505": "505",
    "n556": "556",
    "n562": "562",
    "n565": "565",
    "element_23": "element.23",
    "n561": "561",
    "n576": "576",
    "n586": "586",
    "n612": "612",
    "n618": "618",
    "n621": "621",
    "n617": "617",
    "n632": "632",
    "n642": "642",
}
