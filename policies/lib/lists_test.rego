# SPDX-License-Identifier: Apache-2.0

package seccompgate.lib.lists_test

import data.seccompgate.lib.lists

test_all_fit if {
	lists.shorten([], 2) == ""
	lists.shorten(["a", "b"], 2) == "a, b"
}

test_too_many if {
	lists.shorten(["a", "b", "c"], 2) == "a, b and 1 more"
}
