"""The chain we anchor to: one port and two engines behind it, embedded and JSON-RPC.

Importing this package loads no EVM; `ledger_service.chain.embedded` and `ledger_service.chain.rpc` do.
"""

import os

# eth-hash picks its library at the first hash and prefers pycryptodome, a quarter as fast. It looks at the environment,
# and every engine is imported through this package.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
