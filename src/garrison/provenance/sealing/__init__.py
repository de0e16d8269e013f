"""Encryption at rest in the age format, version 1, which `age`, `rage` and their kin open and write too.

Source: https://age-encryption.org/v1 (C2SP, `age.md`). What a file's key is wrapped for is a `Recipient`, and what
unwraps it an `Identity` (`stanzas`), so that a key in a token or behind a service is one more module here.
"""
