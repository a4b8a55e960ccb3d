using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.Features;

namespace FineTuneStudio.Datasets;

/// Files travel over plain HTTP, in chunks that can be sent again; wwwroot/js/upload.js is the other end.
internal static class UploadEndpoints
{
    private const int HeadBytes = 1 << 16;

    public static void Map(WebApplication app)
    {
        var files = app.MapGroup("/api/p/{project}/imports").DisableAntiforgery();
        files.MapPost("/", (HttpContext http, ReceiveFile receive, string project, string name, long size) => Answer(http, async () =>
        {
            var head = new MemoryStream();
            await http.Request.Body.CopyToAsync(head, http.RequestAborted);
            return await receive.Begin(project, name, size, head.ToArray(), http.RequestAborted);
        }, HeadBytes)).WithMetadata(new NeedsAttribute(Permission.UploadData));
        files.MapGet("/{id:int}", (HttpContext http, ReceiveFile receive, string project, int id) =>
            Answer(http, () => receive.Where(project, id, http.RequestAborted))).WithMetadata(new NeedsAttribute(Permission.UploadData));
        files.MapPut("/{id:int}", (HttpContext http, ReceiveFile receive, string project, int id, long offset) =>
            Answer(http, () => receive.Append(project, id, offset, http.Request.Body, http.RequestAborted), ReceiveFile.ChunkBytes)).WithMetadata(new NeedsAttribute(Permission.UploadData));
        files.MapDelete("/{id:int}", (HttpContext http, ReceiveFile receive, string project, int id) => Answer(http, async () =>
        {
            await receive.Discard(project, id, http.RequestAborted);
            return new ReceiveFile.Place(id, 0, 0);
        })).WithMetadata(new NeedsAttribute(Permission.UploadData));
        files.MapGet("/{id:int}/rejected.csv", async (HttpContext http, DownloadRejected download, string project, int id) =>
        {
            var found = await download.Handle(project, id, import =>
            {
                http.Response.ContentType = "text/csv; charset=utf-8";
                http.Response.Headers.ContentDisposition = new System.Net.Mime.ContentDisposition { FileName = $"rejected-rows-{import.Id}.csv" }.ToString();
                return http.Response.Body;
            }, http.RequestAborted);
            if (!found) http.Response.StatusCode = 404;
        }).WithMetadata(new NeedsAttribute(Permission.DownloadData));
    }

    private static async Task<IResult> Answer(HttpContext http, Func<Task<ReceiveFile.Place>> work, long? most = null)
    {
        if (most is not null && http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = most;
        try
        {
            if (!HttpMethods.IsGet(http.Request.Method)) await http.RequestServices.GetRequiredService<IAntiforgery>().ValidateRequestAsync(http);
            return Results.Json(await work());
        }
        catch (AntiforgeryValidationException) { return Problem(400, "This page is out of date; load it again and choose the file once more."); }
        catch (BadHttpRequestException e) when (e.StatusCode == 413) { return Problem(413, $"A chunk has at most {ReceiveFile.Bytes(most ?? 0)}."); }
        catch (UploadRefused e) { return Problem(409, e.Message, e.Offset); }
        catch (AccessDenied e) { return Problem(e.Denial == Denial.RoleMissing ? 403 : e.Denial == Denial.SignIn ? 401 : 404, e.Message); }
        catch (IOException e) when (!http.RequestAborted.IsCancellationRequested) { return Problem(507, $"The server could not store the chunk: {e.Message}"); }
    }

    private static IResult Problem(int status, string sentence, long? offset = null) => Results.Json(new { problem = sentence, offset }, statusCode: status);
}
