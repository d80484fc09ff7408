// SPDX-License-Identifier: Apache-2.0

// Command http-echo answers every request with a text, as the image of this name does
// that the tutorial uses.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
)

func main() {
	text := flag.String("text", "", "what to answer")
	listen := flag.String("listen", ":5678", "address to listen on")
	flag.Parse()
	err := http.ListenAndServe(*listen, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, *text)
	}))
	fmt.Fprintln(os.Stderr, "http-echo:", err)
	os.Exit(1)
}
