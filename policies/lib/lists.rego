# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Lists in messages
# description: |
#   A message has room for a few names and the number of the others.
package seccompgate.lib.lists

shorten(names, most) := concat(", ", names) if count(names) <= most

shorten(names, most) := sprintf("%s and %d more", [concat(", ", array.slice(names, 0, most)), count(names) - most]) if count(names) > most
