using FineTuneStudio.Datasets;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.Features;

namespace FineTuneStudio.Models;

internal static class ModelEndpoints
{
    public static void Map(WebApplication app)
    {
        var models = app.MapGroup("/api/p/{project}/model/{run:int}").DisableAntiforgery();
        async Task Send(HttpContext http, (string Name, Func<Stream, CancellationToken, Task> Write)? found)
        {
            if (found is not { } zip) { http.Response.StatusCode = 404; return; }
            http.Response.ContentType = "application/zip";
            http.Response.Headers.ContentDisposition = $"attachment; filename=\"{zip.Name}\"";
            // The zip writer ends its entries with small synchronous writes.
            if (http.Features.Get<IHttpBodyControlFeature>() is { } body) body.AllowSynchronousIO = true;
            await zip.Write(http.Response.Body, http.RequestAborted);
        }
        models.MapGet("/download", async (HttpContext http, DownloadModel download, string project, int run) => await Send(http, await download.Handle(project, run, http.RequestAborted))).WithMetadata(new NeedsAttribute(Permission.DownloadModel));
        models.MapGet("/adapter", async (HttpContext http, DownloadModel download, string project, int run) => await Send(http, await download.Adapter(project, run, http.RequestAborted))).WithMetadata(new NeedsAttribute(Permission.DownloadModel));

        models.MapPost("/score", async (HttpContext http, ScoreFile score, string project, int run, string name) =>
        {
            // One byte more than is taken, so that the sentence about the limit is ours.
            if (http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit) limit.MaxRequestBodySize = score.MaxBytes + (1 << 20);
            try
            {
                await http.RequestServices.GetRequiredService<IAntiforgery>().ValidateRequestAsync(http);
                return Results.Json(new { id = await score.Receive(project, run, name, http.Request.Body, http.RequestAborted) });
            }
            catch (AntiforgeryValidationException) { return Problem(400, "This page is out of date; load it again and choose the file once more."); }
            catch (BadHttpRequestException e) when (e.StatusCode == 413) { return Problem(413, $"The file is larger than {score.MaxBytes >> 20} MiB, the most that is scored at once. Split it."); }
            catch (Exception e) when (e is ModelRefused or DataFileException) { return Problem(409, e.Message); }
            catch (AccessDenied e) { return Problem(e.Denial == Denial.RoleMissing ? 403 : e.Denial == Denial.SignIn ? 401 : 404, e.Message); }
        }).WithMetadata(new NeedsAttribute(Permission.UseModel));

        models.MapGet("/score/{id}/result.csv", async (HttpContext http, ScoreFile score, string project, string id) =>
            await score.Result(project, id, http.RequestAborted) is { } file ? Results.File(file.Path, "text/csv; charset=utf-8", file.Name) : Results.NotFound())
            .WithMetadata(new NeedsAttribute(Permission.DownloadData));
    }

    private static IResult Problem(int status, string sentence) => Results.Json(new { problem = sentence }, statusCode: status);
}
