"""Datasets, one per file, and how training examples are drawn from them."""

from .activity_folder import ActivityFolder as ActivityFolder
from .base import Clip as Clip
from .base import JointDataset as JointDataset
from .batch import Batch as Batch
from .batch import Collate as Collate
from .batch import JointExample as JointExample
from .blend import Blend as Blend
from .drawing import DrawnExamples as DrawnExamples
from .drawing import DrawSampler as DrawSampler
from .drawing import WholeClips as WholeClips
from .hiding import Hidden as Hidden
from .instrumental import Instrumental as Instrumental
from .jamendo import Jamendo as Jamendo
from .medleydb import MedleyDB as MedleyDB
from .mir1k import MIR1K as MIR1K
from .mir_st500 import MIRST500 as MIRST500
from .multitrack import Multitrack as Multitrack
from .musdb18 import MUSDB18 as MUSDB18
from .musdb18_sample import MUSDB18Sample as MUSDB18Sample
from .nonvocal import ExtraNonVocal as ExtraNonVocal
from .pseudo import PseudoLabelled as PseudoLabelled
from .solo import SoloVoice as SoloVoice
from .two_stems import TwoStems as TwoStems
