package views

// The ids of the fragments that can be swapped. Each has its root element carry the id, and
// none starts with a digit: such an id is no valid selector.
const (
	// VideosWatchedID is the id of the total over all videos.
	VideosWatchedID = "videos-watched"
	// LessonsID is the id of the list of lessons on the home page.
	LessonsID = "lessons"
	// RegistrationID is the id of the steps of a registration.
	RegistrationID = "registration"
	// OperationID is the id of what has become of a change to an account.
	OperationID = "operation"
	// AccountID is the id of all that the page of an account shows.
	AccountID = "account"
	// AccountDetailsID is the id of what is known about a person.
	AccountDetailsID = "account-details"
	// SignInsID is the id of the list of a person's sign-ins.
	SignInsID = "sign-ins"
)

// ViewCountID is the id of a video's view count.
func ViewCountID(videoID string) string { return "view-count-" + videoID }

// ViewingID is the id of the line beside the player that says whether this viewing is counted.
func ViewingID(videoID string) string { return "viewing-" + videoID }

// RecordViewingID is the id of the form that records a viewing of the video.
func RecordViewingID(videoID string) string { return "record-viewing-" + videoID }

// WatchPath is the path of the page that plays the video.
func WatchPath(videoID string) string { return "/videos/" + videoID }

// RecordViewingPath is the path that takes the form that records a viewing of the video.
func RecordViewingPath(videoID string) string { return "/record-viewing/" + videoID }

// The paths of the pages of accounts, and of their forms.
const (
	RegisterPath       = "/register"
	LogInPath          = "/auth/log-in"
	LogOutPath         = "/auth/log-out"
	ForgotPasswordPath = "/auth/forgot-password"
	ResetPasswordPath  = "/auth/reset-password"
	ConfirmEmailPath   = "/confirm-email"
	FirstAdminPath     = "/first-admin"
	AccountPath        = "/account"
	ChangePasswordPath = "/account/password"
	ChangeEmailPath    = "/account/email"
	// ResendConfirmationPath takes the form that asks for another mail with a link
	// that confirms the address.
	ResendConfirmationPath = "/account/confirmation"
	EndOtherSessionsPath   = "/account/sessions/end-others"
	OutboxPath             = "/outbox"
)

// RegistrationPath is the path of the page that follows a registration.
func RegistrationPath(traceID string) string { return "/register/" + traceID }

// ResendWelcomePath is the path that takes the form that asks for another mail for the
// registration.
func ResendWelcomePath(traceID string) string { return RegistrationPath(traceID) + "/resend" }

// OperationPath is the path of the page that follows a change to an account.
func OperationPath(traceID string) string { return "/account/operations/" + traceID }

// EndSessionPath is the path that takes the form that ends a session.
func EndSessionPath(sessionID string) string { return "/account/sessions/" + sessionID + "/end" }
