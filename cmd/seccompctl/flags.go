// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// nameValue is a flag that names one file or directory. An empty name, as that of a shell
// variable that is not set, would pass for no flag, and of two names one would be lost.
type nameValue struct {
	name  *string
	given bool
}

// nameFlag adds a flag that names one file or directory.
func nameFlag(flags *pflag.FlagSet, name *string, long, short, usage string) {
	flags.VarP(&nameValue{name: name}, long, short, usage)
}

func (v *nameValue) String() string { return *v.name }

// Type is shown nowhere: the usage says it.
func (v *nameValue) Type() string { return "name" }

// Set takes the name.
func (v *nameValue) Set(name string) error {
	switch {
	case name == "":
		return errors.New("it names nothing; write a name, or leave the flag out")
	case v.given:
		return fmt.Errorf("one is taken, and %q is named, too; give the flag once", *v.name)
	}
	*v.name, v.given = name, true
	return nil
}
