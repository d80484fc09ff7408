# SPDX-License-Identifier: Apache-2.0

package seccompgate.lib.annotations_test

import data.seccompgate.lib.annotations

# The webhook looks for every key that the rule looks for.
test_all_has_every_list if {
	every prefix in annotations.prefixes {
		prefix in annotations.all
	}
	every prefix in annotations.alpha {
		prefix in annotations.all
	}
	count(annotations.all) == count(annotations.prefixes) + count(annotations.alpha)
}
