"""Inside MLServer (1.7): a runtime that loads as `garrison.load` does, one that guards another, and the whole server
behind a guard.

MLServer pins older releases of what it stands on; this imports nothing of those but `mlserver` itself.
"""
