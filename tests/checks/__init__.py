"""Part of `make check`: known vulnerabilities in what is installed, secrets in what is tracked."""
