"""`python -m garrison`"""

from garrison.cli.main import run

if __name__ == "__main__":
    run()
