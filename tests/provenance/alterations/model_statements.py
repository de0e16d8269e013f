from tests.provenance.alterations import Table
from tests.provenance.test_model_statement import BAD, read

TABLE = Table(
    title="Statements about models",
    about="What is wrong with the statement, signed by who is trusted all the same.",
    refused={what: (lambda _, document=document: read(document)) for what, document in BAD.items()},
    harmless={},
)
