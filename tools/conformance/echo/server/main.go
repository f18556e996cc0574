// The server of the mesh tests: it answers HTTP, TLS, gRPC and TCP with what it was asked and who answers.
//
//	server --port=8080 --port=8443 --tls=8443 --grpc=7070 --tcp=9090 [--crt=FILE --key=FILE]
//
// A port of --port that --tls names speaks TLS. Without certificate files it makes a self-signed certificate at start.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"plait/tools/conformance/echo"
)

// ports is a flag that may be given several times.
type ports []int

func (p *ports) String() string { return fmt.Sprint(*p) }

func (p *ports) Set(word string) error {
	port, err := strconv.Atoi(word)
	*p = append(*p, port)
	return err
}

func (p ports) has(port int) bool {
	for _, each := range p {
		if each == port {
			return true
		}
	}
	return false
}

func main() {
	var plain, secured, grpcPorts, tcpPorts ports
	flag.Var(&plain, "port", "HTTP port; may be repeated")
	flag.Var(&secured, "tls", "HTTP port that speaks TLS; may be repeated")
	flag.Var(&grpcPorts, "grpc", "gRPC port; may be repeated")
	flag.Var(&tcpPorts, "tcp", "TCP echo port; may be repeated")
	crt := flag.String("crt", "", "certificate of the TLS ports")
	key := flag.String("key", "", "key of the TLS ports")
	flag.Parse()
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}

	ended := make(chan error)
	for _, port := range plain {
		listener := listen(port)
		if secured.has(port) {
			certificate, err := certificate(*crt, *key, host)
			if err != nil {
				log.Fatalf("port %d: %v", port, err)
			}
			listener = tls.NewListener(listener, &tls.Config{
				Certificates: []tls.Certificate{certificate},
				NextProtos:   []string{"h2", "http/1.1"},
			})
		}
		go func() { ended <- serveHTTP(listener, host, port) }()
	}
	for _, port := range grpcPorts {
		listener := listen(port)
		go func() { ended <- serveGRPC(listener, host, port) }()
	}
	for _, port := range tcpPorts {
		listener := listen(port)
		go func() { ended <- serveTCP(listener, host, port) }()
	}
	log.Fatal(<-ended)
}

func listen(port int) net.Listener {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// serveHTTP answers HTTP/1.1 and HTTP/2 (with prior knowledge, or by ALPN).
func serveHTTP(listener net.Listener, host string, port int) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	handler := func(writer http.ResponseWriter, request *http.Request) {
		fields := said(host, port, request.RemoteAddr)
		fields.Add("Host", request.Host)
		fields.Add("Method", request.Method)
		fields.Add("URL", request.RequestURI)
		fields.Add("Proto", request.Proto)
		if request.TLS != nil {
			fields.Add("Alpn", request.TLS.NegotiatedProtocol)
			fields.Add("ServerName", request.TLS.ServerName)
		}
		fields.Headers("RequestHeader", request.Header)
		writer.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(writer, fields)
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), Protocols: protocols, ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}

// serveGRPC answers the one method with the call's metadata.
func serveGRPC(listener net.Listener, host string, port int) error {
	answer := func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		request := new(wrapperspb.StringValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		fields := said(host, port, "")
		fields.Add("Proto", "GRPC")
		fields.Add("Echo", request.GetValue())
		headers, _ := metadata.FromIncomingContext(ctx)
		fields.Headers("RequestHeader", http.Header(headers))
		return wrapperspb.String(fields.String()), nil
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "proto.EchoTestService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: answer}},
	}, nil)
	return server.Serve(listener)
}

// serveTCP answers the first line with who answers, and echoes it.
func serveTCP(listener net.Listener, host string, port int) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			line, err := bufio.NewReader(connection).ReadString('\n')
			if err != nil {
				return
			}
			fields := said(host, port, connection.RemoteAddr().String())
			fields.Add("Proto", "TCP")
			fields.Add("Echo", line)
			fmt.Fprint(connection, fields)
		}()
	}
}

// said is what every answer begins with.
func said(host string, port int, peer string) echo.Fields {
	var fields echo.Fields
	fields.Add("Hostname", host)
	fields.Add("ServicePort", strconv.Itoa(port))
	if address, _, err := net.SplitHostPort(peer); err == nil {
		fields.Add("IP", address)
	}
	return fields
}

// certificate reads the files, or makes a certificate when they are not there (the suite's manifests name files of an image).
func certificate(crt, key, host string) (tls.Certificate, error) {
	found, err := tls.LoadX509KeyPair(crt, key)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}
