// The client of the mesh tests: it asks a URL and prints what came back, a blank line between answers.
//
//	client http://echo/path --method=GET -H name:value --count=500
//	client grpc://echo:7070
//
// Redirects are printed, not followed. The exit code is 1 when a request got no answer at all.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"plait/tools/conformance/echo"
)

// timeout is of one request.
const timeout = 10 * time.Second

// headers is the flag -H, `name:value`, that may be given several times.
type headers struct{ http.Header }

func (h headers) String() string { return "" }

func (h headers) Set(word string) error {
	name, value, found := strings.Cut(word, ":")
	if !found {
		return fmt.Errorf("header %q: want name:value", word)
	}
	h.Add(name, strings.TrimSpace(value))
	return nil
}

func main() {
	sent := headers{http.Header{}}
	flag.Var(sent, "H", "a header, name:value")
	method := flag.String("method", http.MethodGet, "the HTTP method")
	count := flag.Int("count", 1, "how many requests")
	words := os.Args[1:]
	if len(words) == 0 {
		fmt.Fprintln(os.Stderr, "usage: client URL [--method=M] [-H name:value] [--count=N]")
		os.Exit(2)
	}
	_ = flag.CommandLine.Parse(words[1:]) // the URL comes first; a bad flag ends the program itself
	target, err := url.Parse(words[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}

	ask, err := asking(target, *method, sent.Header)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for range *count {
		answer, err := ask()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("Url=%s\n%s\n", target, answer)
	}
}

// asking is a function that sends one request; requests share what connections there are.
func asking(target *url.URL, method string, sent http.Header) (func() (string, error), error) {
	switch target.Scheme {
	case "http", "https":
		return askingHTTP(target, method, sent), nil
	case "grpc":
		return askingGRPC(target, sent)
	default:
		return nil, fmt.Errorf("%s: want http, https or grpc", target)
	}
}

func askingHTTP(target *url.URL, method string, sent http.Header) func() (string, error) {
	client := &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the mesh is under test, not the certificate of the application
		},
	}
	return func() (string, error) {
		request, err := http.NewRequest(method, target.String(), nil)
		if err != nil {
			return "", err
		}
		request.Header = sent.Clone()
		if host := request.Header.Get("Host"); host != "" {
			request.Host = host
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		var fields echo.Fields
		fields.Add("StatusCode", strconv.Itoa(response.StatusCode))
		fields.Headers("ResponseHeader", response.Header)
		return fields.String() + withoutBlankLines(string(body)), err
	}
}

// askingGRPC prints an answered call as status 200, as the suite has it.
func askingGRPC(target *url.URL, sent http.Header) (func() (string, error), error) {
	// Passthrough: the dialer resolves the host as for HTTP. gRPC's own resolver also asks for TXT records outside the cluster.
	address := "passthrough:///" + target.Host
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	pairs := metadata.MD{}
	for name, values := range sent {
		pairs.Append(name, values...)
	}
	return func() (string, error) {
		ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(context.Background(), pairs), timeout)
		defer cancel()
		answer := new(wrapperspb.StringValue)
		if err := connection.Invoke(ctx, echo.Method, wrapperspb.String("hello"), answer); err != nil {
			return "", err
		}
		return "StatusCode=200\n" + withoutBlankLines(answer.GetValue()), nil
	}, nil
}

// withoutBlankLines keeps an answer one block: a blank line is what parts two answers.
func withoutBlankLines(text string) string {
	var kept strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			kept.WriteString(line + "\n")
		}
	}
	return kept.String()
}
