package registrations

// Names of the two projections: those of their checkpoints and the first parts of
// their topics.
const (
	Name     = "registrations"
	MailName = "registrations-mail"
)

// Topic says that something became of a person's registration.
func Topic(userID string) string { return Name + "/" + userID }

// MailTopic says that a person's welcome mail is on its way.
func MailTopic(userID string) string { return MailName + "/" + userID }
