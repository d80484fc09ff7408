package nodetest

import ("testing";"os";"time";"fmt")

func TestDbg(t *testing.T) {
	if os.Getenv("DBG") == "" { t.Skip() }
	fmt.Println("KC", shared.Kubeconfig, shared.Node.Root)
	os.Remove("/tmp/h/stop-node")
	for { time.Sleep(time.Second); if _, err := os.Stat("/tmp/h/stop-node"); err == nil { break } }
}
