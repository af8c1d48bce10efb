"""Audio files: streaming decoding of any format, and writing stems block by block."""

from .reading import AudioReader, open_audio
from .writing import AUDIO_FORMATS, AudioFormat, StemWriter, to_pcm24

__all__ = ["AUDIO_FORMATS", "AudioFormat", "AudioReader", "StemWriter", "open_audio", "to_pcm24"]
