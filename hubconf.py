"""torch.hub entry points: one per model, nothing else.

Example:
    >>> import torch
    >>> model = torch.hub.load(".", "djcm", source="local", preset="tiny")  # or "<owner>/<repo>"
    >>> model(torch.randn(1, 16000)).shape
    torch.Size([1, 2, 16000])
"""

dependencies = ["torch", "numpy", "asteroid", "requests", "soundfile"]  # names to import


def _model(entry, model_name, name_url_or_file, kwargs):
    from asteroid_joint.models.pretrained import hub_model  # late: torch.hub checks the above first

    return hub_model(entry, model_name, name_url_or_file, **kwargs)


def djcm(name_url_or_file=None, **kwargs):
    """DJCM (Wei et al. 2024): vocals, accompaniment and pitch in a cascade.

    Args:
        name_url_or_file (str): "pop" or "mir1k" (shipped), a file, or a name or URL that Asteroid
            can download. Without it a new, untrained model is created.
        **kwargs: Constructor arguments of a new model, and ``preset`` ("paper", "small").

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "djcm", "pop")
        >>> vocals, accompaniment = model(wav)[0]  # wav: (1, time) at model.sample_rate
        >>> f0_hz, confidence, voiced = model.decode_pitch(model.forward_joint(wav).pitch_logits)
    """
    return _model("djcm", "DJCM", name_url_or_file, kwargs)


def shared_bottom(name_url_or_file=None, **kwargs):
    """DJCM's first control: one encoder, a decoder per task. See ``djcm`` for the arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "shared_bottom", preset="small")
    """
    return _model("shared_bottom", "SharedBottom", name_url_or_file, kwargs)


def mmoe(name_url_or_file=None, **kwargs):
    """DJCM's second control: a mixture of encoders per task. See ``djcm`` for the arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "mmoe", preset="paper", n_experts=3)
    """
    return _model("mmoe", "MMoE", name_url_or_file, kwargs)


def joint_xumx(name_url_or_file=None, **kwargs):
    """X-UMX (Sawata et al. 2021, 2024) with a pitch head. See ``djcm`` for the arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "joint_xumx", preset="paper")  # 44.1 kHz
        >>> vocals, drums, bass, other = model(wav)[0]  # wav: (1, 2, time)
    """
    return _model("joint_xumx", "JointXUMX", name_url_or_file, kwargs)


def joint_dttnet(name_url_or_file=None, **kwargs):
    """DTTNet (Chen et al. 2024) with a pitch head. See ``djcm`` for the arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "joint_dttnet", preset="paper")  # 44.1 kHz
        >>> vocals, accompaniment = model(wav)[0]  # wav: (1, 2, time)
    """
    return _model("joint_dttnet", "JointDTTNet", name_url_or_file, kwargs)


def joint_xd3net(name_url_or_file=None, **kwargs):
    """X-D3Net (Sawata et al. 2024) with a pitch head. See ``djcm`` for the arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "joint_xd3net", preset="paper")  # 44.1 kHz
        >>> vocals, drums, bass, other = model(wav)[0]  # wav: (1, 2, time)
    """
    return _model("joint_xd3net", "JointXD3Net", name_url_or_file, kwargs)


def joint_xconv_tasnet(name_url_or_file=None, **kwargs):
    """X-Conv-TasNet (Sawata et al. 2024) with a pitch head. See ``djcm`` for the arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "joint_xconv_tasnet", preset="small")
        >>> vocals, accompaniment = model(wav)[0]  # wav: (1, time) at 16 kHz
    """
    return _model("joint_xconv_tasnet", "JointXConvTasNet", name_url_or_file, kwargs)


def joint_cascade(name_url_or_file=None, estimator=None, **kwargs):
    """Any separator with any pitch estimator behind it, in the style of MAJL (Wei et al. 2025).

    Args:
        name_url_or_file (str): With an estimator, the separator: a class name ("conv_tasnet"), a
            file, or a name or URL that Asteroid can download. Without one, the weights of a
            cascade, as for ``djcm``.
        estimator (str): "crepe-tiny", "crepe-full", "cnn", "rmvpe", "djcm", "djcm_pop".
        **kwargs: Further arguments of ``JointCascade``; for a new model also ``preset``.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "joint_cascade", "conv_tasnet", "crepe-tiny")
        >>> vocals, accompaniment = model(wav)[0]  # wav: (1, time) at 16 kHz
    """
    if estimator is None:
        return _model("joint_cascade", "JointCascade", name_url_or_file, kwargs)
    from asteroid_joint import with_pitch

    return with_pitch(name_url_or_file or "ConvTasNet", estimator, **kwargs)


def vocal_detection_unet(name_url_or_file=None, **kwargs):
    """U-Net that separates and detects singing (Stoller et al. 2018). See ``djcm`` for arguments.

    Example:
        >>> model = torch.hub.load("<owner>/<repo>", "vocal_detection_unet", preset="paper")
        >>> out = model.forward_joint(wav)  # wav: (1, time) at 22 050 Hz
        >>> sung = torch.sigmoid(out.activity_logits)  # (1, frames)
    """
    return _model("vocal_detection_unet", "VocalDetectionUNet", name_url_or_file, kwargs)
