"""What may be shown of an AccessKey ID."""


def mask(value: str) -> str:
    """Return both ends of a long id (``LTAI5t****6789``), less of a short one."""
    if len(value) >= 16:
        return f"{value[:6]}****{value[-4:]}"
    return f"{value[:2]}****" if len(value) >= 6 else "****"
