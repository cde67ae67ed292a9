"""Workers for chats and for jobs with built-in tools. Each worker has one long-lived CLI process."""
