"""Rule packs as data, with their tests beside them. What each is for: docs/policy.md. Loaded by gateway.config.policy_packs."""
