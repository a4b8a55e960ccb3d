using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneStudio.src.Migrations
{
    /// <inheritdoc />
    public partial class UniqueTexts : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            // Two uploads at the same moment could both get in: pretraining may read either, so both stay.
            migrationBuilder.Sql("UPDATE PretrainTexts SET Sha256 = Sha256 || ', again ' || Id WHERE EXISTS (SELECT 1 FROM PretrainTexts AS earlier WHERE earlier.ProjectId = PretrainTexts.ProjectId AND earlier.Sha256 = PretrainTexts.Sha256 AND earlier.Id < PretrainTexts.Id)");

            migrationBuilder.DropIndex(
                name: "IX_PretrainTexts_ProjectId",
                table: "PretrainTexts");

            migrationBuilder.CreateIndex(
                name: "IX_PretrainTexts_ProjectId_Sha256",
                table: "PretrainTexts",
                columns: new[] { "ProjectId", "Sha256" },
                unique: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "IX_PretrainTexts_ProjectId_Sha256",
                table: "PretrainTexts");

            migrationBuilder.CreateIndex(
                name: "IX_PretrainTexts_ProjectId",
                table: "PretrainTexts",
                column: "ProjectId");
        }
    }
}
