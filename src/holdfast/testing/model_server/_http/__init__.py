"""The part of HTTP/1.1 that a model's service needs, from bytes up; knows nothing about models."""
