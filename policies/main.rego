# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Every finding of every rule
# description: |
#   The one entry point. A rule is a package seccompgate.rules.<id>; adding a folder is all
#   that a new rule needs.
package seccompgate.main

findings contains {"rule": rule, "finding": finding} if {
	some rule
	some finding in data.seccompgate.rules[rule].deny
}
