"""What a log says of settings: how long peers waited, and what others settings would have made of them.

    past       the `session.closed` of a log, each as what matters here
    survival   how long peers of a kind wait, where most left and some were never tried to the end
    candidates the settings that are tried
    replay     what each would have done to the sessions of the log
    outlook    what all of that amounts to: the settings on the frontier, or that there is not enough data

Pure but for the reading. The command is `tarpit.cli.tune`; docs/tuning.md says what it cannot know.
"""
