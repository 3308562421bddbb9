export interface Command {
  readonly label: string;
  /** Path of the API below `/api/v1`. */
  readonly path: string;
  readonly body?: object;
  /** Absent: the command changes nothing that could be shown. */
  readonly preview?: boolean;
  /** Path of a diff that is shown with the preview. */
  readonly diffPath?: string;
  /** The reason why the command cannot be given now. */
  readonly impossible?: string | undefined;
}
