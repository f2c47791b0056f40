"""Rule packs as data. Empty until the policy issue: the gates and rules come with it."""
