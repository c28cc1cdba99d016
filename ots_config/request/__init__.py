"""The request layer: how an encoded operation is signed, sent, verified and tried again."""
