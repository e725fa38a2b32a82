// A server of Google Cloud Storage's JSON API, for the contract tests: fake-gcs-server, with one bucket, in memory.
//
// It says its address in one line, once it listens, and ends at an interrupt.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("expected one argument: the bucket to make")
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, os.Interrupt, syscall.SIGTERM)
	// The server writes its own address into the answers to uploads, and so has to know its port.
	port, err := freePort()
	if err != nil {
		log.Fatal(err)
	}
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		Scheme: "http", Host: "127.0.0.1", Port: port, ExternalURL: address, PublicHost: "127.0.0.1",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop()
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: os.Args[1]})
	fmt.Println(address)
	<-stopped
}

func freePort() (uint16, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return uint16(listener.Addr().(*net.TCPAddr).Port), nil
}
