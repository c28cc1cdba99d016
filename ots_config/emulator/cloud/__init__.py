"""The services of Alibaba Cloud around Tablestore: STS, instance metadata, a credentials URI."""
