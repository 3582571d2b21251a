// Package sendemailmsg is the wire contract of sending e-mail: who sends a command
// to the component or reads its events imports this package and nothing else of it.
package sendemailmsg

import "videotutorials/messagestore"

// Category holds one stream for each mail, "sendEmail-<emailId>", and its command in
// "sendEmail:command-<emailId>".
const Category messagestore.Category = "sendEmail"

// Mail is what a mail says. Its id is a UUID derived from what the mail is for, so
// that asking for it twice sends it once.
type Mail struct {
	// EmailID is the UUID of the mail.
	EmailID string `json:"emailId"`
	// To is the address that it goes to.
	To string `json:"to" mask:"true"`
	// Subject is its subject line.
	Subject string `json:"subject" mask:"true"`
	// Text is what it says as plain text.
	Text string `json:"text" mask:"true"`
	// HTML is the same as a page.
	HTML string `json:"html" mask:"true"`
}

// Send asks to send a mail. Who waits for the outcome says so by the metadata's
// originStreamName, which every event carries.
type Send struct{ Mail }

// Sent says that the mail server has taken the mail.
type Sent struct{ Mail }

// Failed says why the mail will never be sent.
type Failed struct {
	Mail
	// Reason is what the mail server said.
	Reason string `json:"reason" mask:"true"`
}

// Postponed says that the mail server asked to try again later.
type Postponed struct {
	// EmailID is the UUID of the mail.
	EmailID string `json:"emailId"`
	// Attempt counts the tries so far, from 1.
	Attempt int `json:"attempt"`
	// Reason is what the mail server said.
	Reason string `json:"reason" mask:"true"`
}

// MessageType returns "Send".
func (Send) MessageType() string { return "Send" }

// MessageType returns "Sent".
func (Sent) MessageType() string { return "Sent" }

// MessageType returns "Failed".
func (Failed) MessageType() string { return "Failed" }

// MessageType returns "Postponed".
func (Postponed) MessageType() string { return "Postponed" }
