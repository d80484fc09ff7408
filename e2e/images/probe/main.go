// SPDX-License-Identifier: Apache-2.0

// Command probe makes a directory, says what the kernel answers, and stays. "probe once"
// does not stay, and ends with 1 if the directory could not be made.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const directory = "/probe-made-this"

func main() {
	err := syscall.Mkdir(directory, 0o755)
	if err != nil {
		fmt.Println("mkdir:", err)
	} else {
		fmt.Println("mkdir: allowed")
		_ = syscall.Rmdir(directory) // so that it can be made again
	}
	if len(os.Args) > 1 {
		if err != nil {
			os.Exit(1)
		}
		return
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
}
